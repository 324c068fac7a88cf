import Binaries
import CProbes
import Libbpf

/// Unwind tables of the target's files, numbered into the shared maps.
struct UnwindStore {
  /// A file's pages in the shared page table.
  struct Placement: Sendable, Hashable {
    var firstPage: Int
    var pageCount: Int
    var basePage: UInt64
  }

  private var ruleNumbers: [UnwindRule: UInt16] = [:]
  private var nextPage = 0
  private var nextRow = 0

  /// Copies a file's table into the maps; nil when there is no room left.
  mutating func install(
    _ table: UnwindTable, rules: borrowing MappedArray, pages: borrowing MappedArray,
    rows: borrowing MappedArray
  ) -> Placement? {
    let chunk = Int(DRIP_ROWS_PER_CHUNK)
    guard !table.rows.isEmpty, nextPage + table.pages.count <= pages.count,
      nextRow + table.rows.count <= rows.count * chunk,
      ruleNumbers.count + table.rules.count < Int(DRIP_RULES)
    else { return nil }
    let numbers = table.rules.map { number(of: $0, rules: rules) }
    let firstRow = nextRow
    rows.withMutableBytes { start in
      let out = start.assumingMemoryBound(to: UInt32.self)
      for (index, row) in table.rows.enumerated() {
        out[firstRow + index] = row & 0xffff_0000 | UInt32(numbers[Int(row & 0xffff)])
      }
    }
    let firstPage = nextPage
    pages.withMutableElements(drip_page.self) { out in
      for (index, page) in table.pages.enumerated() {
        out[firstPage + index] = drip_page(first: page.first + UInt32(firstRow), count: page.count)
      }
    }
    nextRow += table.rows.count
    nextPage += table.pages.count
    return Placement(firstPage: firstPage, pageCount: table.pages.count, basePage: table.basePage)
  }

  private mutating func number(of rule: UnwindRule, rules: borrowing MappedArray) -> UInt16 {
    if let known = ruleNumbers[rule] { return known }
    let number = UInt16(ruleNumbers.count)
    ruleNumbers[rule] = number
    rules.withMutableElements(drip_rule.self) {
      $0[Int(number)] = drip_rule(
        cfa: rule.cfaKind, fp: rule.fpKind, fp_off: rule.fpOffset, cfa_off: rule.cfaOffset)
    }
    return number
  }
}

/// Compact unwind rows of one file, compiled from its call frame information.
public struct UnwindTable: Sendable {
  /// Distinct rules; rows refer to them by index.
  public private(set) var rules: [UnwindRule] = []
  /// Virtual address >> 16 of the first page.
  public private(set) var basePage: UInt64 = 0
  public private(set) var pages: [UnwindPage] = []
  /// Low 16 bits of the address << 16 | rule, ascending within a page. A row holds until the next one; every
  /// page that is covered begins with one.
  public private(set) var rows: [UInt32] = []
  public private(set) var functionCount = 0
  /// Entries that could not be read or understood.
  public private(set) var skipped = 0
  /// Rows that say more than a walk can follow: stacks end there.
  public private(set) var unsupportedRows = 0

  /// A rule and the address where it begins.
  private struct Step {
    var address: UInt64
    var rule: UInt32
  }

  /// Text that one table may span; a larger file is hostile or not for this machine.
  private static let largestSpan: UInt64 = 4 << 30

  /// A function, and its steps.
  private struct Entry {
    var range: Range<UInt64>
    var first: Int
    var count: Int
  }

  /// Compiles one .eh_frame section whose first byte is at virtual address `address`.
  public static func compile(ehFrame: [UInt8], address: UInt64) -> UnwindTable {
    compile([CallFrameInfo.Section(.ehFrame, bytes: ehFrame, address: address)], text: [], machine: .host)
  }

  /// Compiles sections, best first: what a later one says counts where the earlier ones say nothing. Functions outside
  /// of `text` are left out, unless that is empty: linkers leave entries of functions that they threw away.
  static func compile(_ sections: [CallFrameInfo.Section], text: [Range<UInt64>], machine: Machine)
    -> UnwindTable
  {
    var table = UnwindTable()
    var numbers: [UnwindRule: UInt32] = [UnwindRule(.none): 0]
    table.rules = [UnwindRule(.none)]
    var entries: [Entry] = []
    var steps: [Step] = []
    var lastRule = UnwindRule(.none)
    var lastNumber: UInt32 = 0
    for section in sections {
      var own: [Entry] = []
      var first = steps.count
      table.skipped += section.forEachFunction(machine) { at, rule in
        if rule != lastRule {
          lastRule = rule
          if let known = numbers[rule] {
            lastNumber = known
          } else {
            lastNumber = UInt32(numbers.count)
            numbers[rule] = lastNumber
            table.rules.append(rule)
          }
        }
        steps.append(Step(address: at, rule: lastNumber))
      } ended: { range in
        own.append(Entry(range: range, first: first, count: steps.count - first))
        first = steps.count
      }
      own.removeAll { entry in !text.isEmpty && !text.contains { $0.contains(entry.range.lowerBound) } }
      own.sort { $0.range.lowerBound < $1.range.lowerBound }
      entries = entries.isEmpty ? own : merge(entries, own)
    }
    table.functionCount = entries.count
    guard table.rules.count <= 0xffff else { return UnwindTable() }
    let stop = numbers[UnwindRule(.stop)] ?? UInt32(table.rules.count)
    if Int(stop) == table.rules.count { table.rules.append(UnwindRule(.stop)) }
    table.layOut(entries, steps, stop: stop)
    let unsupported = table.rules.map(\.isUnsupported)
    if unsupported.contains(true) {
      table.unsupportedRows = table.rows.count { unsupported[Int($0 & 0xffff)] }
    }
    return table
  }

  /// All of the better functions, and those of the others that overlap none of them; both in order.
  private static func merge(_ better: [Entry], _ others: [Entry]) -> [Entry] {
    var result: [Entry] = []
    result.reserveCapacity(better.count + others.count)
    var next = 0
    var covered: UInt64 = 0
    for other in others {
      while next < better.count, better[next].range.lowerBound <= other.range.lowerBound {
        covered = max(covered, better[next].range.upperBound)
        result.append(better[next])
        next += 1
      }
      let isFree =
        covered <= other.range.lowerBound
        && (next == better.count || other.range.upperBound <= better[next].range.lowerBound)
      if isFree { result.append(other) }
    }
    return result + better[next...]
  }

  /// Puts the functions' rows in order, fills gaps with "no rule", and splits at pages.
  ///
  /// What only fills up to the next function's alignment is no code that could call anything. A return address just
  /// behind it is the function itself, put on the stack to be gone to at the end: the bottom of a stack that was made
  /// by hand (makecontext does so).
  private mutating func layOut(
    _ entries: [Entry], _ steps: [Step], stop: UInt32
  ) {
    guard let low = entries.first?.range.lowerBound, let high = entries.map(\.range.upperBound).max(),
      high - low < Self.largestSpan
    else { return }
    basePage = low >> 16
    rows.reserveCapacity(steps.count)
    var current: UInt32 = 0
    var end = low
    for entry in entries {
      let start = max(entry.range.lowerBound, end)
      guard start < entry.range.upperBound else { continue }
      if start > end { append(end, Self.isPadding(end..<start) ? stop : 0, &current) }
      for step in steps[entry.first..<entry.first + entry.count] where step.address < entry.range.upperBound {
        // Where functions overlap, the earlier one keeps what it has.
        append(max(step.address, start), step.rule, &current)
      }
      end = entry.range.upperBound
    }
    append(end, 0, &current)
    if let last = pages.indices.last { pages[last].count = UInt32(rows.count) - pages[last].first }
  }

  /// Whether a gap between functions is there for the second one's alignment, of at most 16 bytes.
  private static func isPadding(_ gap: Range<UInt64>) -> Bool {
    gap.upperBound - gap.lowerBound < min(gap.upperBound & (0 &- gap.upperBound), 16)
  }

  private mutating func append(_ address: UInt64, _ rule: UInt32, _ current: inout UInt32) {
    let page = Int((address >> 16) - basePage)
    while pages.count <= page {
      if let last = pages.indices.last { pages[last].count = UInt32(rows.count) - pages[last].first }
      pages.append(UnwindPage(first: UInt32(rows.count), count: 0))
      rows.append(current)  // at offset 0 of the page: what holds from before
    }
    guard rule != current else { return }
    let row = UInt32(address & 0xffff) << 16 | rule
    if let last = rows.last, UInt32(rows.count) > pages[page].first, last >> 16 == row >> 16 {
      rows[rows.count - 1] = row  // a later instruction at the same address has the last word
    } else {
      rows.append(row)
    }
    current = rule
  }

  /// The rule for a virtual address, found as the BPF program finds it; nil outside of the table.
  public func rule(at address: UInt64) -> UnwindRule? {
    guard address >> 16 >= basePage, address >> 16 - basePage < UInt64(pages.count) else { return nil }
    let page = pages[Int(address >> 16 - basePage)]
    let slice = rows[Int(page.first)..<Int(page.first + page.count)]
    let key = UInt32(address & 0xffff)
    guard let row = slice.last(where: { $0 >> 16 <= key }) else { return nil }
    return rules[Int(row & 0xffff)]
  }
}

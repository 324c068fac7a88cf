import Foundation
import Glibc
import Testing

@testable import Binaries

@Suite("unwind tables")
struct UnwindTableTests {
  private func table(_ path: String) throws -> (UnwindTable, ELFFile) {
    let elf = try ELFFile(try FileBytes(path: path))
    let section = try #require(elf.section(named: ".eh_frame"))
    let bytes = try elf.bytes(at: section.offset, count: Int(section.size))
    return (UnwindTable.compile(ehFrame: bytes, address: section.address), elf)
  }

  /// readelf is the oracle: its table of each function, row for row.
  @Test(
    "rows equal readelf's",
    arguments: ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"])
  func oracle(path: String) throws {
    let (table, _) = try table(path)
    let pipe = try #require(popen("LC_ALL=C readelf --debug-dump=frames-interp -W \(path) 2>/dev/null", "r"))
    defer { pclose(pipe) }
    var columns: [Substring] = []
    var compared = 0
    var wrong: [String] = []
    var line = [CChar](repeating: 0, count: 4096)
    while fgets(&line, 4096, pipe) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let words = text.split(whereSeparator: \.isWhitespace)
      if words.first == "LOC" { columns = words }
      guard words.count == columns.count, words.count >= 3, words[0].count == 16,
        let address = UInt64(words[0], radix: 16), address != 0  // 0 is a CIE's own row
      else { continue }
      let frame = columns.firstIndex(of: "rbp").map { words[$0] } ?? "u"
      guard let expected = rule(cfa: words[1], rbp: frame) else { continue }
      // A return address that is undefined ends the walk, whatever the CFA.
      guard words[columns.count - 1] != "u" else { continue }
      compared += 1
      let found = table.rule(at: address)
      if found != expected, wrong.count < 5 { wrong.append("\(text) gave \(String(describing: found))") }
    }
    #expect(wrong.isEmpty, "\(wrong)")
    #expect(compared > 10_000)
    #expect(table.skipped == 0)
  }

  private func rule(cfa: Substring, rbp: Substring) -> UnwindRule? {
    let base: UnwindRule.CFA
    if cfa.hasPrefix("rsp+") { base = .rsp } else if cfa.hasPrefix("rbp+") { base = .rbp } else { return nil }
    guard let offset = Int32(cfa.dropFirst(4)) else { return nil }
    if rbp == "u" || rbp == "s" { return UnwindRule(base, offset: offset) }
    guard rbp.hasPrefix("c"), let saved = Int16(rbp.dropFirst()) else { return nil }
    return UnwindRule(base, offset: offset, framePointer: .atCFA, fpOffset: saved)
  }

  @Test("every page begins with a row, rows ascend, addresses outside have no rule")
  func layout() throws {
    let (table, elf) = try table("/lib/x86_64-linux-gnu/libc.so.6")
    for page in table.pages where page.count > 0 {
      let rows = table.rows[Int(page.first)..<Int(page.first + page.count)]
      #expect(rows.first.map { $0 >> 16 } == 0)
      #expect(zip(rows, rows.dropFirst()).allSatisfy { $0 >> 16 < $1 >> 16 })
    }
    #expect(table.rule(at: .max) == nil)
    #expect(table.rule(at: 0)?.cfaKind ?? 0 == 0)
    let malloc = try #require(try elf.symbols(named: ["malloc"])["malloc"])
    #expect(table.rule(at: malloc.address) == UnwindRule(.rsp, offset: 8))
  }

  @Test("alignment before a function is the bottom of a stack, other code between functions is not")
  func padding() throws {
    let (table, _) = try table("/lib/x86_64-linux-gnu/libc.so.6")
    let stop = try #require(table.rules.firstIndex { $0.cfaKind == UnwindRule.CFA.stop.rawValue })
    var paddings = 0
    for page in table.pages {
      let rows = table.rows[Int(page.first)..<Int(page.first + page.count)]
      for (row, next) in zip(rows, rows.dropFirst()) where Int(row & 0xffff) == stop {
        // A run of padding ends at a multiple of 16 and is shorter than that; other stops are functions.
        let length = next >> 16 - row >> 16
        if next >> 16 % 16 == 0, length < 16 { paddings += 1 }
      }
    }
    #expect(paddings > 1000)
    let first = table.rules[0]
    #expect(first.cfaKind == UnwindRule.CFA.none.rawValue)
    #expect(table.rows.contains { $0 & 0xffff == 0 }, "code without rules is still there")
  }

  @Test("cut and damaged sections never crash")
  func hostile() throws {
    let elf = try ELFFile(try FileBytes(path: "/bin/true"))
    let section = try #require(elf.section(named: ".eh_frame"))
    let bytes = try elf.bytes(at: section.offset, count: Int(section.size))
    for length in stride(from: 0, to: bytes.count, by: 7) {
      _ = UnwindTable.compile(ehFrame: Array(bytes[..<length]), address: section.address)
    }
    var random: UInt64 = 88_172_645_463_325_252
    for _ in 0..<2000 {
      var damaged = bytes
      for _ in 0..<4 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        damaged[Int(random % UInt64(damaged.count))] = UInt8(truncatingIfNeeded: random >> 32)
      }
      _ = UnwindTable.compile(ehFrame: damaged, address: section.address)
    }
    #expect(UnwindTable.compile(ehFrame: [], address: 0).rows.isEmpty)
  }
}

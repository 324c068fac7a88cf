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
    #expect(table.rule(at: malloc.address) == UnwindRule(.stackPointer, offset: 8))
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

import Foundation
import Testing

@testable import Binaries

/// Unwind tables from all kinds of call frame information, and of both machines, row for row against readelf.
@Suite("sources of unwind tables")
struct UnwindSourceTests {
  private struct Comparison {
    var equal = 0
    var inexpressible = 0
    /// Readelf has a row, and the table none.
    var unknown = 0
    var wrong: [String] = []
  }

  private func elf(_ path: String, _ machine: Machine = .host) throws -> ELFFile {
    try ELFFile(try FileBytes(path: path), for: machine)
  }

  /// Compares at every address that readelf has a row for.
  private func compare(_ table: UnwindTable, _ oracle: FrameOracle, _ machine: Machine = .host) -> Comparison
  {
    var result = Comparison()
    for (address, row) in oracle.rows where address != 0 {
      guard case .rule(let expected) = row else {
        result.inexpressible += 1
        continue
      }
      let found = table.rule(at: address)
      // What readelf tells as "u" is the register for most functions, and nothing for the outermost.
      let isOutermost = machine == .arm64 && found == UnwindRule(.stop) && expected.cfaKind >> 4 == 1
      if found == expected || isOutermost {
        result.equal += 1
      } else if found == UnwindRule(.none) {
        result.unknown += 1
      } else if result.wrong.count < 5 {
        result.wrong.append("\(String(address, radix: 16)): \(expected), not \(String(describing: found))")
      }
    }
    return result
  }

  @Test(
    ".eh_frame of x86-64: rows equal readelf's",
    arguments: ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"])
  func exceptionFrames(path: String) throws {
    let table = try CallFrameInfo(of: try elf(path)).compile()
    let found = compare(table, try FrameOracle(path, section: ".eh_frame"))
    #expect(found.wrong.isEmpty, "\(found.wrong)")
    #expect(found.equal > 10_000)
    #expect(table.skipped == 0)
    #expect(found.unknown == 0)
  }

  @Test(
    ".eh_frame of arm64: rows equal readelf's, link register and frame records",
    arguments: ["libc.so.6", "ld-linux-aarch64.so.1"])
  func arm(name: String) throws {
    let path = "/usr/aarch64-linux-gnu/lib/" + name
    try #require(FileManager.default.fileExists(atPath: path), "libc6-arm64-cross is not installed")
    let table = try CallFrameInfo(of: try elf(path, .arm64)).compile()
    let found = compare(table, try FrameOracle(path, section: ".eh_frame", machine: .arm64), .arm64)
    print(
      "\(name), arm64: \(found.equal) rows equal, \(found.inexpressible) not to be said, "
        + "\(table.unsupportedRows) unsupported")
    #expect(found.wrong.isEmpty, "\(found.wrong)")
    #expect(found.equal > 1000)
    // One function in each returns by x15: that of thread-local storage.
    #expect(table.skipped == 1)
    #expect(found.unknown == 2)
    #expect(table.unsupportedRows * 1000 <= table.rows.count)
    // Leaves, functions that saved the link register alone, and frame records are all there.
    #expect(Set(table.rules.map { $0.cfaKind >> 4 }).isSuperset(of: [1, 2]))
    #expect(throws: BinaryError.self) { try elf(path) }
  }

  private static let source = """
    #include <alloca.h>
    #include <stdlib.h>
    __attribute__((noipa)) int leaf(int n) { return n * 3; }
    __attribute__((noipa)) int saves(int a, int b, int c) { int x = leaf(a), y = leaf(b), z = leaf(c); return x ^ y ^ z; }
    __attribute__((noipa)) int grows(int n) { char *room = alloca(n); room[n - 1] = 1; return saves(n, room[n - 1], n); }
    int main(int count, char **words) { return grows(count * 100) + saves(1, 2, 3); }
    """

  /// The functions of the program itself: all that its symbols tell of.
  private func functions(_ elf: ELFFile) throws -> [(name: String, address: UInt64)] {
    try elf.symbols(named: ["leaf", "saves", "grows", "main"]).map { ($0.key, $0.value.address) }
  }

  @Test(".debug_frame counts where .eh_frame says nothing", .enabled(if: ToyProgram.isPossible))
  func debugFrames() throws {
    let toy = try ToyProgram(
      Self.source,
      flags: ["-g", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"])
    let file = try toy.elf
    #expect(file.section(named: ".debug_frame") != nil)
    let table = try CallFrameInfo(of: file).compile()
    let found = compare(table, try FrameOracle(toy.path, section: ".debug_frame"))
    #expect(found.wrong.isEmpty, "\(found.wrong)")
    #expect(found.equal >= 10)
    #expect(found.unknown == 0)
    // The crt files of the same program have .eh_frame only.
    let start = compare(table, try FrameOracle(toy.path, section: ".eh_frame"))
    #expect(start.wrong.isEmpty, "\(start.wrong)")
    for function in try functions(file) {
      #expect(table.rule(at: function.address) == UnwindRule(.stackPointer, offset: 8), "\(function.name)")
    }
    let bytes = try file.bytes(
      at: try #require(file.section(named: ".eh_frame")).offset,
      count: Int(try #require(file.section(named: ".eh_frame")).size))
    let without = UnwindTable.compile(
      ehFrame: bytes, address: try #require(file.section(named: ".eh_frame")).address)
    #expect(
      try functions(file).contains { without.rule(at: $0.address) != UnwindRule(.stackPointer, offset: 8) })
  }

  @Test(".sframe says the same as .eh_frame of the same program", .enabled(if: ToyProgram.isPossible))
  func sframes() throws {
    let toy = try ToyProgram(
      Self.source, flags: ["-Wa,--gsframe", "-fomit-frame-pointer", "-fasynchronous-unwind-tables"])
    let file = try toy.elf
    let section = try #require(file.section(named: ".sframe"))
    let bytes = try file.bytes(at: section.offset, count: Int(section.size))
    let text = file.segments.filter(\.isExecutable).map { $0.address..<$0.address + $0.fileSize }
    let table = UnwindTable.compile(
      [CallFrameInfo.Section(.sframe, bytes: bytes, address: section.address)], text: text, machine: .x86_64)
    let whole = try CallFrameInfo(of: file).compile()
    #expect(table.skipped == 0)
    var compared = 0
    for function in try functions(file) {
      for address in function.address..<function.address + 12 {
        #expect(table.rule(at: address) == whole.rule(at: address), "\(function.name) \(address)")
        compared += 1
      }
    }
    #expect(compared == 48)
    let found = compare(table, try FrameOracle(toy.path, section: ".sframe"))
    #expect(found.wrong.isEmpty, "\(found.wrong)")
    #expect(found.equal >= 10)
    #expect(found.unknown == 0)
  }

  /// One function at section + 0x100, 32 bytes long: rsp+8; from 1 on rsp+16 and rbp at CFA-16; from 4 on rbp+16.
  private func version2() -> [UInt8] {
    var bytes: [UInt8] = [0xe2, 0xde, 2, 1, 3, 0, UInt8(bitPattern: -8), 0]
    func word(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    bytes += word(1) + word(3) + word(11) + word(0) + word(20)
    bytes += word(0x100) + word(32) + word(0) + word(3) + [0, 0, 0, 0]
    bytes += [0, 1 | 1 << 1, 8]
    bytes += [1, 1 | 2 << 1, 16, UInt8(bitPattern: -16)]
    bytes += [4, 0 | 2 << 1, 16, UInt8(bitPattern: -16)]
    return bytes
  }

  @Test("version 2 of .sframe: longer entries, the same rows")
  func secondVersion() throws {
    let section = CallFrameInfo.Section(.sframe, bytes: version2(), address: 0x10_0000)
    let table = UnwindTable.compile([section], text: [], machine: .x86_64)
    #expect(table.skipped == 0)
    let saved = UnwindRule(.stackPointer, offset: 16, framePointer: .atCFA, fpOffset: -16)
    #expect(table.rule(at: 0x10_0100) == UnwindRule(.stackPointer, offset: 8))
    #expect(table.rule(at: 0x10_0101) == saved)
    #expect(table.rule(at: 0x10_0103) == saved)
    #expect(
      table.rule(at: 0x10_011f) == UnwindRule(.framePointer, offset: 16, framePointer: .atCFA, fpOffset: -16))
    #expect(table.rule(at: 0x10_0120) == UnwindRule(.none))
  }

  /// Numbers as from a die, always the same ones.
  private struct Dice {
    var state: UInt64 = 88_172_645_463_325_252
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  @Test("damaged sections of every kind end, and are small", arguments: [".debug_frame", ".sframe"])
  func hostile(name: String) throws {
    let flags =
      name == ".sframe"
      ? ["-Wa,--gsframe"] : ["-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
    let file = try ToyProgram(Self.source, flags: flags).elf
    let section = try #require(file.section(named: name))
    let bytes = try file.bytes(at: section.offset, count: Int(section.size))
    let format = try #require(CallFrameInfo.Format(rawValue: name))
    var dice = Dice()
    for turn in 0..<5000 {
      var damaged = turn % 3 == 0 ? Array(bytes[..<Int(dice.next() % UInt64(bytes.count))]) : bytes
      for _ in 0..<(damaged.isEmpty ? 0 : 1 + turn % 5) {
        damaged[Int(dice.next() % UInt64(damaged.count))] = UInt8(truncatingIfNeeded: dice.next() >> 32)
      }
      let table = UnwindTable.compile(
        [CallFrameInfo.Section(format, bytes: damaged, address: section.address)], text: [], machine: .x86_64)
      // Pages of 64 KiB may lie between two functions, and each has a row.
      #expect(table.rows.count <= damaged.count + table.pages.count)
    }
  }

  @Test("functions that name the same rows over and over do not make a table without end")
  func repeated() {
    var bytes = version2()
    // A thousand functions that claim to have all the rows of a long list.
    func word(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    bytes = Array(bytes[..<8]) + word(1000) + word(10_000) + word(30_000) + word(0) + word(20_000)
    for index in 0..<1000 {
      bytes += word(UInt32(0x100 + index * 32)) + word(32) + word(0) + word(10_000) + [0, 0, 0, 0]
    }
    for _ in 0..<10_000 { bytes += [0, 1 | 1 << 1, 8] }
    let table = UnwindTable.compile(
      [CallFrameInfo.Section(.sframe, bytes: bytes, address: 0x10_0000)], text: [], machine: .x86_64)
    #expect(table.skipped > 900)
  }
}

import Foundation
import Testing

@testable import Binaries

@Suite("USDT notes")
struct USDTNoteTests {
  /// Programs of Debian that have trace points; python's are behind semaphores.
  static let programs = [
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/bin/python3", "/usr/lib/postgresql/15/bin/postgres",
  ]

  @Test("equal readelf's", arguments: programs.filter(SystemFile.exists))
  func oracle(path: String) throws {
    let notes = USDTNote.read(try SystemFile.elf(path))
    let text = try ToyProgram.run("/usr/bin/env", ["LC_ALL=C", "readelf", "-n", "-W", path])
    var expected: [USDTNote] = []
    for line in text.split(separator: "\n").map({ $0.drop { $0 == " " } }) {
      if let at = line.range(of: "Provider: ") {
        let provider = String(line[at.upperBound...])
        expected.append(USDTNote(provider: provider, name: "", address: 0, semaphore: nil, arguments: ""))
      }
      guard !expected.isEmpty else { continue }
      let last = expected.count - 1
      if line.hasPrefix("Name: ") { expected[last].name = String(line.dropFirst(6)) }
      if line.hasPrefix("Arguments: ") { expected[last].arguments = String(line.dropFirst(11)) }
      if line.hasPrefix("Location: ") {
        let numbers = line.split(separator: ",").compactMap { UInt64($0.suffix(16), radix: 16) }
        try #require(numbers.count == 3)
        // No file of the system was moved after its link, or this comparison would not be one.
        let base = try #require(try SystemFile.elf(path).section(named: ".stapsdt.base"))
        try #require(numbers[1] == base.address)
        expected[last].address = numbers[0]
        expected[last].semaphore = numbers[2] == 0 ? nil : numbers[2]
      }
    }
    #expect(notes == expected)
    #expect(notes.count >= 3)
  }

  /// Of real programs, only the address of a symbol is not understood.
  @Test("real arguments parse", arguments: programs.filter(SystemFile.exists))
  func realArguments(path: String) throws {
    for note in USDTNote.read(try SystemFile.elf(path)) {
      do throws(USDTArgument.Unsupported) {
        let arguments = try USDTArgument.parse(note.arguments)
        #expect(arguments.count == note.arguments.split(separator: " ").count)
      } catch {
        #expect(error.text.hasSuffix("(%rip)"), "\(error)")
      }
    }
  }

  @Test("a file that was moved after its link", .enabled(if: ToyProgram.isPossible))
  func moved() throws {
    let toy = try ToyProgram(USDTToy.program())
    let notes = USDTNote.read(try toy.elf)
    try #require(notes.count == 2 && notes.allSatisfy { $0.semaphore != nil })
    // The section header says where .stapsdt.base is now.
    var bytes = try toy.contents
    let elf = try toy.elf
    let index = try #require(elf.sections.firstIndex { $0.name == ".stapsdt.base" })
    let table = Int(try #require(bytes.integer(UInt64.self, at: 40)))
    let now = elf.sections[index].address + 0x7000
    withUnsafeBytes(of: now.littleEndian) {
      bytes.replaceSubrange(table + index * 64 + 16..<table + index * 64 + 24, with: $0)
    }
    let shifted = USDTNote.read(try ELFFile(MemoryBytes(bytes)))
    #expect(shifted.map(\.address) == notes.map { $0.address + 0x7000 })
    #expect(shifted.map(\.semaphore) == notes.map { $0.semaphore.map { $0 + 0x7000 } })
    // A stripped program keeps its notes.
    let stripped = try ToyProgram(USDTToy.program(), strips: true)
    #expect(try stripped.elf.isStripped)
    #expect(USDTNote.read(try stripped.elf) == notes)
  }

  @Test("other notes, other kinds, padding, and no base")
  func layout() {
    let addresses: [UInt64] = [0x1000, 0x500, 0]
    let one = note(addresses, "p\0n\08@%rdi\0")
    let odd = note([1, 2, 3], "q\0\0\0")
    var notes: [USDTNote] = []
    USDTNote.read(
      note(addresses, "no\0no\0\0", owner: "GNU\0") + one + note(addresses, "no\0no\0\0", kind: 4) + odd,
      base: nil, into: &notes)
    #expect(
      notes == [
        USDTNote(provider: "p", name: "n", address: 0x1000, semaphore: nil, arguments: "8@%rdi"),
        USDTNote(provider: "q", name: "", address: 1, semaphore: 3, arguments: ""),
      ])
    notes = []
    USDTNote.read(odd, base: 0, into: &notes)
    // Without a semaphore there is nothing to move; arithmetic wraps.
    #expect(notes.map(\.address) == [.max] && notes.map(\.semaphore) == [1])
  }

  @Test(
    "damaged ones",
    arguments: [
      "p\0n", "p\0n\0", "p\0n\08@%rdi", "", "pn", String(repeating: "p", count: 5000) + "\0n\0\0",
    ])
  func damaged(texts: String) {
    var notes: [USDTNote] = []
    USDTNote.read(note([1, 2, 3], texts), base: nil, into: &notes)
    #expect(notes.isEmpty)
  }

  @Test("no bytes crash, and no number of notes")
  func hostile() {
    let good = note([0x1000, 0x500, 0x2000], "otel_memory\0alloc\08@%rdi 8@%rsi 8@%rdx\0")
    let bytes = good + good + good
    var random = Xorshift()
    for _ in 0..<20_000 {
      var damaged = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
      for _ in 0..<Int.random(in: 0...3, using: &random) where !damaged.isEmpty {
        let at = Int.random(in: 0..<damaged.count, using: &random)
        damaged[at] =
          [0, 0xff, UInt8.random(in: .min ... .max, using: &random)].randomElement(using: &random) ?? 0
      }
      var notes: [USDTNote] = []
      USDTNote.read(damaged, base: random.next(), into: &notes)
      #expect(notes.count <= 3)
    }
    var notes: [USDTNote] = []
    USDTNote.read(Array([[UInt8]](repeating: good, count: 70_000).joined()), base: nil, into: &notes)
    #expect(notes.count == 65_536)
  }

  @Test("no damaged file crashes", .enabled(if: ToyProgram.isPossible))
  func hostileFile() throws {
    let bytes = try ToyProgram(USDTToy.program(nop: USDTToy.nop5)).contents
    let elf = try ELFFile(MemoryBytes(bytes))
    var random = Xorshift()
    let section = try #require(elf.section(named: ".note.stapsdt"))
    let frames = try #require(elf.section(named: ".eh_frame"))
    let table = Int(try #require(bytes.integer(UInt64.self, at: 40)))
    let targets = [
      0..<bytes.count, Int(section.offset)..<Int(section.offset + section.size), table..<bytes.count,
      Int(frames.offset)..<Int(frames.offset + frames.size), 0x1000..<0x1300,
    ]
    var usable = 0
    for round in 0..<3000 {
      var damaged = bytes
      for _ in 0..<4 {
        damaged[Int.random(in: targets[round % targets.count], using: &random)] =
          UInt8.random(in: .min ... .max, using: &random)
      }
      guard let elf = try? ELFFile(MemoryBytes(damaged)) else { continue }
      for note in USDTNote.read(elf) where (try? USDTSite(note, in: elf)) != nil { usable += 1 }
    }
    #expect(usable > 0)
  }

  private func note(_ addresses: [UInt64], _ texts: String, owner: String = "stapsdt\0", kind: UInt32 = 3)
    -> [UInt8]
  {
    func padded(_ bytes: [UInt8]) -> [UInt8] {
      bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
    }
    func raw<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let content = addresses.flatMap(raw) + Array(texts.utf8)
    return raw(UInt32(owner.utf8.count)) + raw(UInt32(content.count)) + raw(kind) + padded(Array(owner.utf8))
      + padded(content)
  }
}

/// Programs with trace points of their own.
enum USDTToy {
  static let nop5 = ".byte 0x0f, 0x1f, 0x44, 0, 0"

  /// A macro that puts a trace point with a given instruction.
  static let preamble = """
    #define POINT(nop, name, semaphore, arguments, ...) \\
      __asm__ volatile("990: " nop "\\n" \\
        ".pushsection .note.stapsdt, \\"\\", \\"note\\"\\n.balign 4\\n.4byte 8, 994f - 993f, 3\\n" \\
        ".asciz \\"stapsdt\\"\\n993: .8byte 990b, stapsdt_base, " semaphore "\\n" \\
        ".asciz \\"toy\\"\\n.asciz \\"" name "\\"\\n.asciz \\"" arguments "\\"\\n994: .balign 4\\n.popsection" \\
        : : __VA_ARGS__)
    __attribute__((section(".stapsdt.base"), used, visibility("hidden"))) const char stapsdt_base;
    __attribute__((section(".probes"), used, visibility("hidden"))) volatile unsigned short up[2];
    __attribute__((used, visibility("hidden"))) volatile unsigned short zeroed;
    #define FRAME __attribute__((noipa))

    """

  /// Two trace points, in a function that calls.
  static func program(nop: String = "nop") -> String {
    preamble + """
      FRAME long other(long x) { return x * 3; }
      FRAME long calls(long x) {
        POINT("\(nop)", "one", "up", "8@%0", "r"(x));
        x += other(x);
        POINT("\(nop)", "two", "up", "8@%0 8@%1", "r"(x), "i"(42));
        return x + other(x + 1);
      }
      int main(int c, char **v) { (void)v; return (int)calls(c); }
      """
  }
}

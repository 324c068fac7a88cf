import Foundation
import Glibc
import Profile
import Testing

@testable import Symbolication

/// The names that runtimes give to the code that they generate.
@Suite struct PerfMapTests {
  private func map(_ parts: String...) -> PerfMap {
    var map = PerfMap()
    for part in parts { map.append(Array(part.utf8)) }
    return map
  }

  @Test func linesAndTheirLimits() {
    let map = map("1000 10 first\n0x2000 0x8 JS:*second file.js:3:1\n2010 8  spaces before\n")
    #expect(map.badLines == 0)
    #expect(map.name(at: 0xfff) == nil)
    #expect(map.name(at: 0x1000) == "first")
    #expect(map.name(at: 0x100f) == "first")
    #expect(map.name(at: 0x1010) == nil)
    #expect(map.name(at: 0x2007) == "JS:*second file.js:3:1")
    #expect(map.name(at: 0x2008) == nil)
    #expect(map.name(at: 0x2017) == "spaces before")
  }

  @Test(arguments: [
    "1000", "1000 10", "1000 10 ", "x 10 f", "1000 y f", "1000 0 f", " 1000 10 f", "1000\t10 f",
    "10000000000000000 10 f", "ffffffffffffffff 1 f", "0x 10 f", "-1 10 f",
  ])
  func badLine(line: String) {
    let map = map("10 1 a\n\(line)\n20 1 b\n")
    #expect(map.badLines == 1)
    #expect(map.pieces.count == 2)
    #expect(map.name(at: 0x10) == "a")
    #expect(map.name(at: 0x20) == "b")
  }

  @Test func laterLinesWin() {
    // Whole, in the middle, at both ends, and several at once.
    let map = map("100 100 old\n", "140 10 middle\n100 8 begin\n1f8 10 end\n", "300 10 x\n300 10 y\n")
    #expect(map.name(at: 0x100) == "begin")
    #expect(map.name(at: 0x108) == "old")
    #expect(map.name(at: 0x13f) == "old")
    #expect(map.name(at: 0x140) == "middle")
    #expect(map.name(at: 0x150) == "old")
    #expect(map.name(at: 0x1f8) == "end")
    #expect(map.name(at: 0x207) == "end")
    #expect(map.name(at: 0x208) == nil)
    #expect(map.name(at: 0x300) == "y")
    let covering = self.map("140 10 a\n160 10 b\n100 100 new\n")
    #expect(covering.pieces.count == 1)
    #expect(covering.name(at: 0x165) == "new")
  }

  /// Against the plain rule: of all lines so far, the last that covers an address names it.
  @Test(arguments: UInt64(1)...8) func overlapsAgainstTheRule(seed: UInt64) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    func random(_ limit: UInt64) -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state % limit
    }
    var map = PerfMap()
    var truth = [String?](repeating: nil, count: 700)
    for round in 0..<10 {
      var text = ""
      for index in 0..<30 {
        let start = Int(random(600))
        let size = Int(random(40)) + 1
        let name = "f\(round)_\(index)"
        text += String(start, radix: 16) + " " + String(size, radix: 16) + " \(name)\n"
        for address in start..<min(start + size, truth.count) { truth[address] = name }
      }
      // Cut anywhere, as a file that grows may be.
      let cut = Int(random(UInt64(text.utf8.count)))
      map.append(Array(text.utf8.prefix(cut)))
      map.append(Array(text.utf8.dropFirst(cut)))
      for address in truth.indices { #expect(map.name(at: UInt64(address)) == truth[address]) }
      for (one, next) in zip(map.pieces, map.pieces.dropFirst()) { #expect(one.end <= next.start) }
    }
    #expect(map.badLines == 0)
  }

  @Test func endlessLineAndRandomBytes() {
    var map = PerfMap()
    for _ in 0..<100 { map.append([UInt8](repeating: UInt8(ascii: "a"), count: 1000)) }
    #expect(map.badLines == 1)
    map.append(Array("\n10 1 after\n".utf8))
    #expect(map.badLines == 1)
    #expect(map.name(at: 0x10) == "after")
    var generator = SystemRandomNumberGenerator()
    map.append((0..<100_000).map { _ in UInt8.random(in: 0...255, using: &generator) } + [10])
    map.append(Array("20 1 still\n".utf8))
    #expect(map.name(at: 0x20) == "still")
  }

  @Test func ownerByStatus() throws {
    let text = "Name:\tfoo\nPid:\t412\nUid:\t1\t2\t3\t4\nNSpid:\t412\t17\t1\n"
    let owner = try #require(PerfMapOwner(status: Array(text.utf8)))
    #expect(owner.path == "/tmp/perf-1.map")
    #expect([0, 1, 2, 3, 4].allSatisfy { owner.mayHaveWritten(user: $0) })
    #expect(!owner.mayHaveWritten(user: 5))
    let old = try #require(PerfMapOwner(status: Array("Pid:\t412\nUid:\t1\t1\t1\t1\n".utf8)))
    #expect(old.number == 412)
    #expect(PerfMapOwner(status: []) == nil)
    #expect(PerfMapOwner(status: Array("Pid:\tx\nUid:\t0\n".utf8)) == nil)
  }
}

/// The file of this very process: only one test at a time can have it.
@Suite(.serialized) struct PerfMapFileTests {
  private let path = "/tmp/perf-\(getpid()).map"

  private func symbolizer() -> Symbolizer {
    let symbolizer = Symbolizer(pid: getpid())
    look(symbolizer)
    return symbolizer
  }

  /// A round of drip's: the next name looks at the file again.
  private func look(_ symbolizer: Symbolizer) {
    symbolizer.update(mappings: [
      SymbolMapping(start: 0x1000, end: 0x3000, fileOffset: 0, executable: true, path: ""),
      SymbolMapping(start: 0x3000, end: 0x4000, fileOffset: 0, executable: false, path: ""),
    ])
  }

  private func write(_ text: String, append: Bool = false) throws {
    let file = try #require(fopen(path, append ? "a" : "w"))
    fputs(text, file)
    fclose(file)
  }

  @Test func growsAndIsReplaced() throws {
    defer { unlink(path) }
    let symbolizer = symbolizer()
    // No map is nothing to complain of.
    #expect(symbolizer.frames(for: 0x1001) == [Frame(address: 0x1001)])
    #expect(symbolizer.notes.isEmpty)
    try write("1000 10 one\nbroken\n1800 10 ha")
    look(symbolizer)
    // The call is before the address to which it returns.
    #expect(symbolizer.frames(for: 0x1010) == [Frame(address: 0x1010, function: "one")])
    #expect(symbolizer.frames(for: 0x1801).first?.function == nil)
    #expect(symbolizer.notes.count == 1 && symbolizer.notes[0].contains("1 lines"))
    try write("lf\n1000 8 o\u{1b}ther\n3000 10 data\n", append: true)
    #expect(symbolizer.frames(for: 0x1008).first?.function == "one", "not before the next look")
    look(symbolizer)
    #expect(symbolizer.frames(for: 0x1008).first?.function == "o?ther")
    #expect(symbolizer.frames(for: 0x1009).first?.function == "one")
    #expect(symbolizer.frames(for: 0x1801).first?.function == "half")
    #expect(symbolizer.frames(for: 0x3008).first?.function == nil, "no code there")
    // Rewritten in place, and longer than it was.
    try write("2000 10 anew\n" + String(repeating: "2100 10 x\n", count: 20))
    look(symbolizer)
    #expect(symbolizer.frames(for: 0x2001).first?.function == "anew")
    #expect(symbolizer.frames(for: 0x1009).first?.function == nil)
    #expect(symbolizer.notes.isEmpty)
    // Another file in its place.
    unlink(path)
    try write("1000 10 third\n")
    look(symbolizer)
    #expect(symbolizer.frames(for: 0x1009).first?.function == "third")
  }

  @Test func linksPipesAndStrangersFiles() throws {
    defer { unlink(path) }
    let other = path + ".other"
    let file = try #require(fopen(other, "w"))
    fputs("1000 10 lie\n", file)
    fclose(file)
    defer { unlink(other) }
    try #require(symlink(other, path) == 0)
    let link = symbolizer()
    #expect(link.frames(for: 0x1001).first?.function == nil)
    #expect(link.notes.first?.contains("not a regular file") == true)
    unlink(path)
    // Opening a pipe that nobody writes to would wait for ever.
    try #require(mkfifo(path, 0o600) == 0)
    let pipe = symbolizer()
    #expect(pipe.frames(for: 0x1001).first?.function == nil)
    #expect(pipe.notes.count == 1)
    unlink(path)
    guard geteuid() == 0 else { return }
    try #require(rename(other, path) == 0)
    let own = symbolizer()
    #expect(own.frames(for: 0x1001).first?.function == "lie")
    try #require(chown(path, 4711, 4711) == 0)
    let stranger = symbolizer()
    #expect(stranger.frames(for: 0x1001).first?.function == nil)
    #expect(stranger.notes.first?.contains("user 4711") == true)
  }

  @Test func atMostSoMuchIsRead() throws {
    defer { unlink(path) }
    try write("1000 10 begin\n")
    // A hole: no space is used.
    try #require(truncate(path, off_t(PerfMapFile.sizeLimit)) == 0)
    try write("\n1000 10 behind\n", append: true)
    let symbolizer = symbolizer()
    #expect(symbolizer.frames(for: 0x1001).first?.function == "begin")
    #expect(symbolizer.notes.first?.contains("larger than 64 MiB") == true)
  }
}

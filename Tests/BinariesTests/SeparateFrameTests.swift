import Foundation
import Testing

@testable import Binaries

/// Call frame information that `strip` took out of a program, from its separate debug file.
@Suite("frames of separate debug files", .enabled(if: ToyProgram.isPossible))
struct SeparateFrameTests {
  private static let source = """
    __attribute__((noipa)) int leaf(int n) { return n * 3; }
    __attribute__((noipa)) int saves(int a, int b, int c) { int x = leaf(a), y = leaf(b), z = leaf(c); return x ^ y ^ z; }
    int main(int count, char **words) { return saves(count, 2, 3); }
    """

  /// A program without tables, its debug file, and the table that it had whole.
  private struct Split {
    let toy: ToyProgram
    let debug: String
    let whole: UnwindTable
    let functions: [UInt64]

    init(_ source: String = SeparateFrameTests.source, flags: [String] = []) throws {
      toy = try ToyProgram(
        source,
        flags: ["-g", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"] + flags
      )
      debug = toy.path + ".debug"
      let elf = try toy.elf
      whole = try CallFrameInfo(of: elf).compile()
      functions = try elf.symbols(named: ["leaf", "saves", "main"]).map(\.value.address)
      try ToyProgram.run("/usr/bin/objcopy", ["--only-keep-debug", toy.path, debug])
      try ToyProgram.run("/usr/bin/objcopy", ["--strip-all", "--add-gnu-debuglink=\(debug)", toy.path])
    }

    var separate: ELFFile { get throws { try SystemFile.elf(debug) } }

    /// What a table says of every byte of the functions.
    func rules(_ table: UnwindTable) -> [UnwindRule?] {
      functions.flatMap { start in (start..<start + 24).map { table.rule(at: $0) } }
    }
  }

  @Test("its rows are those that the whole file had", arguments: [[], ["-no-pie"], ["-gz=zlib"]])
  func rows(flags: [String]) throws {
    let split = try Split(flags: flags)
    let elf = try split.toy.elf
    #expect(!elf.hasDebugFrame)
    let without = try CallFrameInfo(of: elf).compile()
    #expect(split.rules(without) != split.rules(split.whole))
    let frames = CallFrameInfo(of: elf, separate: try split.separate)
    let table = try frames.compile()
    #expect(split.rules(table) == split.rules(split.whole))
    #expect(split.functions.count == 3)
    for function in split.functions {
      #expect(table.rule(at: function) == UnwindRule(.stackPointer, offset: 8))
    }
    // What the room for rows is planned by.
    #expect(frames.estimatedRows >= table.rows.count)
    // .eh_frame of the file itself goes first and is still there: _start has it only.
    let start = try #require(elf.section(named: ".text")).address
    #expect(table.rule(at: start) == split.whole.rule(at: start))
  }

  @Test("a file's own .debug_frame counts, not that of another file")
  func own() throws {
    let flags = ["-g", "-fomit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
    let elf = try ToyProgram(Self.source, flags: flags).elf
    let other = try Split(Self.source + "\nint more(int n) { return saves(n, n, leaf(n)); }")
    let table = try CallFrameInfo(of: elf, separate: try other.separate).compile()
    let alone = try CallFrameInfo(of: elf).compile()
    #expect(table.rows == alone.rows)
    let more = try CallFrameInfo(of: try other.toy.elf, separate: try other.separate).compile()
    #expect(more.rows != alone.rows)
  }

  @Test("the build id tells the right file, also against a link with its checksum")
  func builds() throws {
    let split = try Split()
    let other = try Split(Self.source + "\nint more;\n")
    #expect(DebugFile.match(try split.separate, try split.toy.elf) == .same)
    #expect(DebugFile.match(try other.separate, try split.toy.elf) == .otherBuild)
    let nameless = try Split(flags: ["-Wl,--build-id=none"])
    #expect(DebugFile.match(try nameless.separate, try split.toy.elf) == .otherBuild)
  }

  @Test("without a build id the checksum in the link tells")
  func checksums() throws {
    let split = try Split(flags: ["-Wl,--build-id=none"])
    let elf = try split.toy.elf
    #expect(elf.buildID == nil)
    #expect(DebugFile.match(try split.separate, elf) == .same)
    let file = try #require(FileHandle(forUpdatingAtPath: split.debug))
    try file.seekToEnd()
    try file.write(contentsOf: Data([0]))
    try file.close()
    #expect(DebugFile.match(try split.separate, elf) == .otherBuild)
    try ToyProgram.run("/usr/bin/objcopy", ["--remove-section=.gnu_debuglink", split.toy.path])
    #expect(DebugFile.match(try split.separate, try split.toy.elf) == .unknown)
  }

  @Test("places: the build-id directory, the file's folder, .debug in it, the folder below /usr/lib/debug")
  func places() throws {
    let elf = try Split().toy.elf
    let id = try #require(elf.buildID)
    #expect(
      DebugFile.candidates(of: elf, path: "/opt/bin/toy") == [
        "/usr/lib/debug/.build-id/\(id.prefix(2))/\(id.dropFirst(2)).debug", "/opt/bin/toy.debug",
        "/opt/bin/.debug/toy.debug", "/usr/lib/debug/opt/bin/toy.debug",
      ])
    #expect(DebugFile.candidates(of: elf, path: "[vdso]").count == 1)
  }

  @Test("a link that leads out of its folder is none", arguments: ["../x", "..", "/etc/passwd", ""])
  func hostileLink(name: String) throws {
    let split = try Split()
    let link = split.toy.path + ".link"
    var bytes = Array(name.utf8) + [0]
    while bytes.count % 4 != 0 { bytes.append(0) }
    try Data(bytes + [1, 2, 3, 4]).write(to: URL(fileURLWithPath: link))
    try ToyProgram.run(
      "/usr/bin/objcopy", ["--update-section", ".gnu_debuglink=\(link)", split.toy.path])
    #expect(try split.toy.elf.debugLink == nil)
    #expect(DebugFile.candidates(of: try split.toy.elf, path: "/opt/bin/toy").count == 1)
  }
}

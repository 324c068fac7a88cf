import Foundation
import Testing

@testable import Binaries

@Suite(
  "MiniDebugInfo", .enabled(if: ToyProgram.isPossible && SystemFile.exists("/usr/bin/xz"), "no xz-utils"))
struct MiniDebugInfoTests {
  private static let source = """
    #include <stdlib.h>
    int main(int n, char **v) { free(realloc(malloc(n), 2 * n)); return 0; }
    """

  /// A static program of which only the symbols are left, compressed.
  private func stripped(_ program: ToyProgram, embedding contents: (String) throws -> Void) throws -> ELFFile
  {
    let embedded = program.path + ".embedded"
    try contents(embedded)
    try ToyProgram.run("/usr/bin/strip", [program.path])
    try ToyProgram.run(
      "/usr/bin/objcopy",
      ["--add-section", ".gnu_debugdata=" + embedded, program.path, program.path + ".mini"])
    return try ELFFile(try FileBytes(path: program.path + ".mini"))
  }

  @Test("a stripped static program's allocator is known by it")
  func staticProgram() throws {
    let program = try ToyProgram(Self.source, flags: ["-static"])
    let whole = try #require(try AllocatorImage(try program.elf))
    let elf = try stripped(program) { path in
      try ToyProgram.run("/usr/bin/objcopy", ["--only-keep-debug", program.path, path])
      try ToyProgram.run("/usr/bin/xz", [path])
      try FileManager.default.moveItem(atPath: path + ".xz", toPath: path)
    }
    #expect(elf.isStripped)
    #expect(try AllocatorImage(elf) == whole)
  }

  @Test("damaged, foreign and oversized ones are none")
  func hostile() throws {
    let file = NSTemporaryDirectory() + "drip-xz-\(UUID().uuidString)"
    defer { for suffix in ["", ".xz"] { try? FileManager.default.removeItem(atPath: file + suffix) } }
    // A mebibyte of zeroes, which is some 200 bytes of xz.
    try Data(count: 1 << 20).write(to: URL(fileURLWithPath: file))
    try ToyProgram.run("/usr/bin/xz", ["-k", file])
    let compressed = Array(try Data(contentsOf: URL(fileURLWithPath: file + ".xz")))
    #expect(XZ.decompress(compressed, limit: 1 << 20)?.count == 1 << 20)
    #expect(XZ.decompress(compressed, limit: (1 << 20) - 1) == nil)
    #expect(XZ.decompress(Array(compressed.dropLast()), limit: 1 << 20) == nil)
    #expect(XZ.decompress([], limit: 1 << 20) == nil)
    for at in [0, 7, 12, 20, compressed.count / 2, compressed.count - 1] {
      var damaged = compressed
      damaged[at] ^= 0x40
      #expect(XZ.decompress(damaged, limit: 1 << 20) == nil, "byte \(at)")
    }
    // No ELF file inside, and no xz at all.
    for contents in [compressed, Array("no stream".utf8)] {
      let elf = try stripped(try ToyProgram(Self.source, flags: ["-static"])) {
        try Data(contents).write(to: URL(fileURLWithPath: $0))
      }
      #expect(elf.section(named: ".gnu_debugdata") != nil)
      #expect(try AllocatorImage(elf) == nil)
    }
  }
}

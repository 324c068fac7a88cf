import Foundation
import Glibc
import Profile
import Symbolication
import Testing

/// Files that were made, or broken, to do harm.
@Suite struct HostileFileTests {
  @Test func namesWithEscapes() throws {
    let source = """
      #include <stdio.h>
      #include <unistd.h>
      __attribute__((noinline)) void leaf(void) { printf("call %p\\n", __builtin_return_address(0)); }
      volatile int sink;
      __attribute__((noinline)) void xESCAPEDx(void) { leaf(); sink++; }
      int main(void) { xESCAPEDx(); puts("ready"); fflush(stdout); pause(); }
      """
    let scratch = try Scratch()
    let program = try scratch.build(source, "plain", ["-g0"])
    // The assembler has no way to write such a name, so it is put into the file.
    var bytes = try Data(contentsOf: URL(fileURLWithPath: program))
    while let range = bytes.range(of: Data("xESCAPEDx".utf8)) {
      bytes.replaceSubrange(range, with: Data("x\u{1b}[31m\u{7}\nx".utf8))
    }
    let hostile = scratch.path + "/a\u{1b}b"
    try bytes.write(to: URL(fileURLWithPath: hostile))
    chmod(hostile, 0o755)
    let workload = try Workload([hostile])
    let frame = try #require(try workload.symbolizer().frames(for: workload.address("call")).first)
    #expect(frame.function == "x?[31m??x")
    #expect(frame.module == scratch.path + "/a?b")
  }

  /// A library overwritten in place while it is mapped: reading it gives SIGBUS.
  @Test func truncatedFile() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let copy = scratch.path + "/copy"
    let workload = try Workload([program])
    try FileManager.default.copyItem(atPath: program, toPath: copy)
    // A running program cannot be truncated, so its map is shown to lie in the copy.
    let symbolizer = Symbolizer(pid: getpid())
    let mappings = try workload.mappings().filter { $0.path == program }.map { mapping in
      var mapping = mapping
      mapping.path = copy
      return mapping
    }
    symbolizer.update(mappings: mappings)
    symbolizer.preload()
    #expect(truncate(copy, 5000) == 0)
    let address = try workload.address("call")
    let frames = symbolizer.frames(for: address)
    #expect(frames.last?.module == copy)
    #expect(frames.last?.address == address)
  }

  /// Debug information with random damage: names may be lost, nothing more.
  @Test(.timeLimit(.minutes(2))) func damagedDebugInformation() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let workload = try Workload([program])
    let original = try Data(contentsOf: URL(fileURLWithPath: program))
    let mappings = try workload.mappings().filter { $0.path == program }
    let address = try workload.address("call")
    var generator = SystemRandomNumberGenerator()
    for round in 0..<200 {
      var bytes = original
      // The first pages hold the code and headers of the file; all the rest is fair game.
      for _ in 0..<Int.random(in: 1...200, using: &generator) {
        let start = round % 4 == 0 ? 64 : 0x3000
        bytes[Int.random(in: start..<bytes.count, using: &generator)] = .random(
          in: 0...255, using: &generator)
      }
      let copy = scratch.path + "/damaged\(round)"
      try bytes.write(to: URL(fileURLWithPath: copy))
      let symbolizer = Symbolizer(pid: getpid())
      symbolizer.update(
        mappings: mappings.map { mapping in
          var mapping = mapping
          mapping.path = copy
          return mapping
        })
      let frames = symbolizer.frames(for: address)
      #expect(!frames.isEmpty && frames.count <= 64)
      try FileManager.default.removeItem(atPath: copy)
    }
  }

  @Test(.timeLimit(.minutes(1))) func filesThatAreNone() throws {
    let scratch = try Scratch()
    let pipe = scratch.path + "/pipe"
    #expect(mkfifo(pipe, 0o600) == 0)
    let text = try scratch.write("text", "no ELF file, but long enough to be read as one")
    let symbolizer = Symbolizer(pid: getpid())
    symbolizer.update(
      mappings: [pipe, text, "/dev/zero", scratch.path].enumerated().map { index, path in
        let start = 0x1000 * UInt64(index + 1)
        return SymbolMapping(start: start, end: start + 0x1000, fileOffset: 0, executable: true, path: path)
      })
    symbolizer.preload()
    let reasons = symbolizer.unreadable.map(\.reason)
    #expect(reasons == ["not a regular file", "not an ELF file", "not a regular file", "not a regular file"])
    #expect(symbolizer.frames(for: 0x1010) == [Frame(address: 0x1010, module: pipe, offset: 0x10)])
  }
}

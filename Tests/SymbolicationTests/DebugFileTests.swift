import Foundation
import Glibc
import Profile
import Symbolication
import Testing

/// Where symbols and lines come from: separate files, the dynamic table, nothing.
@Suite struct DebugFileTests {
  @Test(arguments: ["calls.debug", ".debug/calls.debug"], [true, false])
  func debugLink(place: String, buildID: Bool) throws {
    let scratch = try Scratch()
    let options = buildID ? [] : ["-Wl,--build-id=none"]
    let program = try scratch.build(callsInC, "calls", options)
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/.debug", withIntermediateDirectories: true)
    let debug = scratch.path + "/" + place
    try run("objcopy", ["--only-keep-debug", program, debug])
    try run("objcopy", ["--strip-all", "--add-gnu-debuglink=\(debug)", program])
    let workload = try Workload([program])
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    #expect(frames.map(\.function) == ["inner", "middle", "hidden"])
    #expect(frames.first?.line == line(of: "MARK inner", in: callsInC))
    #expect((frames.first?.buildID == nil) == !buildID)
  }

  /// A process that has no debug files in its own tree: the host's build-id directory names the C library's inner
  /// functions all the same.
  @Test func buildIDDirectoryOfTheHost() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let script = "mount -t tmpfs none /usr/lib/debug && exec \(program)"
    let workload = try Workload(["unshare", "-m", "sh", "-c", script])
    let frame = try workload.symbolizer().frames(for: workload.address("libc")).last
    #expect(frame?.function?.contains("sort") == true)
    #expect(frame?.line != nil)
  }

  @Test func debugFileOfAnotherBuild() throws {
    let scratch = try Scratch()
    let other = try scratch.build(callsInC + "\nint more;\n", "other")
    let program = try scratch.build(callsInC, "calls")
    let debug = scratch.path + "/calls.debug"
    try run("objcopy", ["--only-keep-debug", program, debug])
    try run("objcopy", ["--strip-all", "--add-gnu-debuglink=\(debug)", program])
    try run("objcopy", ["--only-keep-debug", other, debug])
    let workload = try Workload([program])
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    #expect(frames.map(\.function) == [nil])
  }

  @Test(.timeLimit(.minutes(1))) func debugLinkToAPipe() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let debug = scratch.path + "/calls.debug"
    try run("objcopy", ["--only-keep-debug", program, debug])
    try run("objcopy", ["--strip-all", "--add-gnu-debuglink=\(debug)", program])
    try FileManager.default.removeItem(atPath: debug)
    #expect(mkfifo(debug, 0o600) == 0)
    let workload = try Workload([program])
    #expect(try workload.symbolizer().frames(for: workload.address("call")).map(\.function) == [nil])
  }

  @Test func strippedProgram() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls", ["-rdynamic"])
    let full = try run("nm", [program])
    try run("strip", [program])
    let workload = try Workload([program])
    let symbolizer = try workload.symbolizer()
    let address = try workload.address("call")
    let frame = try #require(symbolizer.frames(for: address).first)
    #expect(symbolizer.frames(for: address).count == 1)
    #expect(frame.function == nil)
    #expect(frame.module == program)
    #expect(frame.buildID == (try buildID(program)))
    #expect(frame.file == nil && frame.line == nil)
    let hidden = try #require(full.split(separator: "\n").first { $0.hasSuffix(" t hidden") })
    let start = try #require(UInt64(hidden.prefix(16), radix: 16))
    #expect(frame.offset > start && frame.offset < start + 200)
    let exported = symbolizer.frames(for: try workload.address("exported") + 1)
    #expect(exported.map(\.function) == ["exported"])
  }

  @Test func miniDebugInfo() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let mini = scratch.path + "/mini"
    try run("objcopy", ["-S", "--keep-symbol=hidden", "--only-keep-debug", program, mini])
    try run("objcopy", ["--remove-section=.debug_*", "--strip-debug", mini])
    try run("xz", [mini])
    try run("strip", [program])
    try run("objcopy", ["--add-section", ".gnu_debugdata=\(mini).xz", program])
    let workload = try Workload([program])
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    #expect(frames.map(\.function) == ["hidden"])
  }

  @Test func publicNameOfSeveral() throws {
    let source = """
      #include <stdio.h>
      #include <unistd.h>
      volatile int sink;
      __attribute__((noinline)) void leaf(void) { printf("call %p\\n", __builtin_return_address(0)); }
      __attribute__((noinline)) void __inner_name(void) { leaf(); sink++; }
      void public_name_of_all(void) __attribute__((alias("__inner_name")));
      static void aaa(void) __attribute__((alias("__inner_name"), used));
      int main(void) { public_name_of_all(); puts("ready"); fflush(stdout); pause(); }
      """
    let scratch = try Scratch()
    let workload = try Workload([scratch.build(source, "alias")])
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    #expect(frames.map(\.function) == ["public_name_of_all"])
  }

  @Test func assemblyWithoutSizes() throws {
    let source = """
      #include <stdio.h>
      #include <unistd.h>
      void leaf(void) { printf("call %p\\n", __builtin_return_address(0)); }
      asm(".text\\n.globl by_hand\\nby_hand:\\nsub $8,%rsp\\ncall leaf\\nadd $8,%rsp\\nret\\n"
          ".globl after\\nafter: ret\\n");
      void by_hand(void);
      int main(void) { by_hand(); puts("ready"); fflush(stdout); pause(); }
      """
    let scratch = try Scratch()
    let workload = try Workload([scratch.build(source, "hand")])
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    #expect(frames.map(\.function) == ["by_hand"])
  }

  @Test func clangWithoutAddressRanges() throws {
    let scratch = try Scratch()
    let file = try scratch.write("calls.c", callsInC)
    let program = scratch.path + "/calls"
    try run("clang", ["-g", "-O2", "-o", program, file])
    let workload = try Workload([program])
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    #expect(frames.map(\.function) == ["inner", "middle", "hidden"])
    #expect(
      frames.map(\.line) == ["MARK inner", "MARK middle", "MARK hidden"].map { line(of: $0, in: callsInC) })
  }
}

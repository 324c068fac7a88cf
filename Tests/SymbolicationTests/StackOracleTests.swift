import Foundation
import Glibc
import Profile
import Testing

@testable import Symbolication

/// libdwfl against what a program says of its own return addresses.
@Suite("stack oracle")
struct StackOracleTests {
  /// Waits in pause(), four calls deep, after telling where each call returns to.
  private static let source = """
    #include <stdio.h>
    #include <unistd.h>
    #define CALLER(name) printf(#name " 0x%lx\\n", (unsigned long)__builtin_return_address(0))
    static volatile int depth;
    __attribute__((noipa)) static void wait_for_ever(void) { for (;;) { pause(); depth++; } }
    __attribute__((noipa)) static void inner(void) { volatile char room[1000]; CALLER(inner); room[999] = 1;
      puts("ready"); fflush(stdout); wait_for_ever(); depth += room[999]; }
    __attribute__((noipa)) static void middle(void) { CALLER(middle); inner(); depth++; }
    __attribute__((noipa)) static void outer(void) { CALLER(outer); middle(); depth++; }
    int main(void) { outer(); return depth; }
    """

  /// The state of a thread that rests in a system call, with a copy of its stack.
  private func sample(_ pid: Int32, bytes count: Int) throws -> StackSample {
    var words: [Substring] = []
    var text = ""
    // "running" until it rests.
    repeat {
      text = try String(contentsOfFile: "/proc/\(pid)/syscall", encoding: .utf8)
      words = text.split(whereSeparator: \.isWhitespace)
    } while words.count < 9
    let sp = try #require(UInt64(words[7].dropFirst(2), radix: 16))
    let pc = try #require(UInt64(words[8].dropFirst(2), radix: 16))
    let memory = try #require(FileHandle(forReadingAtPath: "/proc/\(pid)/mem"))
    var bytes = [UInt8](repeating: 0, count: count)
    // Up to the stack's end: with a small environment that may come sooner than `count` says.
    let read = pread(memory.fileDescriptor, &bytes, count, off_t(sp))
    try #require(read > 0)
    bytes.removeLast(count - read)
    return StackSample(
      process: 0, pc: pc, sp: sp, fp: 0, stored: [], end: .complete, base: sp, bytes: bytes)
  }

  private func workload(_ scratch: Scratch, _ options: [String]) throws -> Workload {
    let program = try scratch.build(Self.source, "oracle", ["-fomit-frame-pointer"] + options)
    return try Workload([program])
  }

  @Test(
    "every return address of the chain, and the whole way to the root",
    arguments: [["-pie"], ["-no-pie"], ["-static-pie"]])
  func chain(_ options: [String]) throws {
    let scratch = try Scratch()
    let workload = try workload(scratch, options)
    let oracle = try #require(StackOracle(pid: workload.pid, mappings: try workload.mappings()))
    let stack = oracle.unwind(try sample(workload.pid, bytes: 4096), capacity: 64)
    let told = ["inner", "middle", "outer"].compactMap { workload.addresses[$0] }
    try #require(told.count == 3)
    // pause, its caller's caller `inner`, then what the program told.
    let at = try #require(stack.frames.firstIndex(of: told[0]))
    #expect(Array(stack.frames[at..<min(at + 3, stack.frames.count)]) == told)
    #expect(at == 3)
    #expect(stack.reliable == .max)
    #expect(stack.frames.allSatisfy { oracle.place($0 - 1) == .ruled })
    #expect(stack.frames.count >= at + 4, "main was called, too")
  }

  @Test("a copy that ends says where")
  func shortCopy() throws {
    let scratch = try Scratch()
    let workload = try workload(scratch, [])
    let oracle = try #require(StackOracle(pid: workload.pid, mappings: try workload.mappings()))
    let whole = oracle.unwind(try sample(workload.pid, bytes: 4096), capacity: 64)
    let cut = oracle.unwind(try sample(workload.pid, bytes: 512), capacity: 64)
    // The array of `inner` does not fit in.
    #expect(cut.reliable == 3)
    #expect(cut.frames.prefix(3) == whole.frames.prefix(3))
    #expect(oracle.unwind(try sample(workload.pid, bytes: 4096), capacity: 2).frames.count == 2)
    #expect(oracle.place(1) == .nothing)
  }

  @Test("the checker counts agreement, difference and a site that is another stack's")
  func checker() throws {
    let scratch = try Scratch()
    let workload = try workload(scratch, [])
    let checker = StackChecker()
    var sample = try sample(workload.pid, bytes: 4096)
    #expect(checker.check(sample) == .notComparable(.noRules), "no process is known yet")
    checker.update(process: 0, pid: workload.pid, mappings: try workload.mappings())
    let oracle = try #require(StackOracle(pid: workload.pid, mappings: try workload.mappings()))
    let frames = oracle.unwind(sample, capacity: 64).frames
    sample.stored = frames
    #expect(checker.check(sample) == .agrees)
    sample.stored.removeLast()
    #expect(checker.check(sample) == .differs(at: frames.count - 1))
    sample.stored = frames
    sample.walked = frames
    #expect(checker.check(sample) == .agrees)
    sample.stored[1] += 1
    #expect(checker.check(sample) == .differs(at: 1))
    #expect(checker.checks.agreed == 2)
    #expect(checker.checks.disagreed == 2)
    #expect(checker.differences.map(\.frame) == [frames.count - 1, 1])
  }
}

import Foundation
import Testing

/// The options of `dump` and `top` for the kernel.
@Suite("dump --kernel", .enabled(if: canRunLive), .serialized)
struct KernelCommandTests {
  @Test("callers alone count as exactly, and nobody's stack is walked")
  func callers() throws {
    let (dump, _, lines) = try KernelTests.watch("queue", "keep", byProcess: false, stacks: "never")
    defer { try? KernelTests.removeQueues(lines) }
    #expect(dump.kernel.sites.allSatisfy { $0.caller_only && $0.frames.count == 1 })
    let sites = dump.kernel.sites.filter { $0.contains(["newque"]) }
    let site = try #require(sites.first)
    #expect(sites.count == 1)
    KernelTests.expectAll(site, dump.kernel)
  }

  @Test("by cache, module and process; a cache and a module alone")
  func groups() throws {
    // On an idle machine nothing may be allocated for half a second.
    let busy = try Child("/bin/sh", ["-c", "while :; do /bin/true; done"])
    defer { busy.stop() }
    for (grouping, title) in [("cache", "CACHE"), ("module", "MODULE"), ("process", "PROCESS")] {
      let result = try DripBinary.run("dump", "--kernel", "--duration", "300ms", "--by", grouping)
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains(title))
      #expect(result.output.contains("heard of: "))
    }
    let top = try DripBinary.run("top", "--kernel", "--by", "cache", "300ms", "1")
    #expect(top.status == 0 && top.output.contains("IN USE"), "\(top.output)\(top.errors)")
    let nothing = try DripBinary.run(
      "dump", "--kernel", "--duration", "300ms", "--module", "no_such_module")
    #expect(nothing.status == 0, "\(nothing.errors)")
    #expect(
      nothing.output.contains("that the filters left out") || nothing.output.contains("Nothing"),
      "\(nothing.output)")
  }

  @Test(
    "what does not go together is told, with the way out",
    arguments: [
      (["--stacks", "always", "-p", "1"], "--stacks needs --kernel"),
      (["-p", "1", "--backend", "kprobe"], "add --kernel"),
      (["--kernel", "--comm", "x"], "--kernel goes with -p"),
      (["--kernel", "--backend", "session"], "rawtp, fentry, kprobe or tracepoint"),
      (["--kernel", "--follow"], "--follow is for processes"),
      (["--kernel", "--confirm"], "say which (-p)"), ([], "--kernel"),
    ])
  func errors(options: [String], words: String) throws {
    let result = try LiveTests.run(DripBinary.path, ["dump"] + options)
    #expect(result.status == 2)
    #expect(result.errors.contains(words), "\(result.errors)")
  }

  @Test("a backend that the kernel does not allow is refused in its words")
  func refused() throws {
    // Whichever of them does not work here.
    for backend in ["fentry", "kprobe"] {
      let result = try DripBinary.run("dump", "--kernel", "--duration", "100ms", "--backend", backend)
      if result.status == 0 { continue }
      #expect(result.status == 3)
      #expect(result.errors.contains("this kernel does not let drip hear of its allocations"))
    }
  }
}

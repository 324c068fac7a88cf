import Capture
import Foundation
import Glibc
import Probes
import Processes
import Profile
import Testing

/// Stacks through code that comes, goes, or is more than usual.
@Suite("mappings", .enabled(if: canRunLive), .serialized)
struct MappingTests {
  /// A folder with so many copies of the plugin, each a file of its own, and one that is called late.so.
  private final class Libraries {
    let path: String

    init(_ count: Int) throws {
      path = FileManager.default.temporaryDirectory.path + "/drip-libraries-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      for name in (0..<count).map(String.init) + ["late"] {
        try FileManager.default.copyItem(
          atPath: DripBinary.workload("plugin.so"), toPath: "\(path)/\(name).so")
      }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private func dump(_ drip: Child) throws -> DumpJSON {
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    return try DumpJSON.parse(result.output)
  }

  /// Whole stacks through plugin_allocate: how many objects came that way.
  private func whole(_ dump: DumpJSON) -> UInt64 {
    let sites = dump.sites.filter { site in
      site.stack_end == "complete"
        && site.frames.compactMap(\.function).suffix(20).contains("plugin_allocate")
        && site.frames.contains { $0.function == "main" }
    }
    return sites.reduce(0) { $0 + $1.allocs }
  }

  private func attach(_ program: Child) throws -> Child {
    try DripBinary.attach(["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json"])
  }

  @Test(
    "hundreds of libraries, and thousands of pieces of executable memory", arguments: [(700, 0), (20, 3000)])
  func many(count: Int, extra: Int) throws {
    let libraries = try Libraries(count)
    let program = try Child(DripBinary.workload("libraries"), [libraries.path, "\(count)", "\(extra)"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try attach(program)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    let result = try dump(drip)
    #expect(whole(result) == UInt64(count * 25))
    #expect(result.losses["total"] == 0)
  }

  @Test("libraries whose files were deleted after they were mapped")
  func deleted() throws {
    let libraries = try Libraries(3)
    let program = try Child(DripBinary.workload("libraries"), [libraries.path, "3"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    try FileManager.default.removeItem(atPath: libraries.path)
    let drip = try attach(program)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    #expect(whole(try dump(drip)) == 75)
  }

  @Test("a program in a mount namespace of its own, with its libraries where we have others")
  func namespace() throws {
    let libraries = try Libraries(2)
    // Our own files of these names are not even libraries.
    let command =
      "exec 3<\(DripBinary.workload("libraries")) && mkdir /tmp/hidden.$$ && cp \(libraries.path)/*.so /tmp/hidden.$$"
      + " && mount -t tmpfs none \(libraries.path) && cp /tmp/hidden.$$/*.so \(libraries.path)"
      + " && rm -r /tmp/hidden.$$ && exec /proc/self/fd/3 \(libraries.path) 2"
    let program = try Child("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", command])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    for name in ["0.so", "1.so"] {
      try Data("no library".utf8).write(to: URL(fileURLWithPath: "\(libraries.path)/\(name)"))
    }
    let drip = try attach(program)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    #expect(whole(try dump(drip)) == 50)
  }

  @Test("children of fork and vfork, and programs that they execute: their stacks are whole")
  func forkAndExec() throws {
    let program = try Child(DripBinary.workload("forker"))
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach([
      "dump", "--follow", "-p", "\(program.pid)", "--duration", "120s", "--format", "json",
    ])
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    let result = try dump(drip)
    program.send("END")
    #expect(program.finish().status == 0)
    // What forker's sites allocate in all, by its own description.
    for (name, objects) in [("site_parent", 10), ("site_child", 80), ("site_executed", 60)] {
      let complete = result.sites.filter { site in
        site.stack_end == "complete" && site.frames.contains { $0.function == name }
          && site.frames.contains { $0.function == "main" }
      }
      #expect(complete.reduce(0) { $0 + $1.allocs } == UInt64(objects), "\(name)")
    }
  }

  @Test("the dynamic linker tells of a library that comes; nobody has to look for it")
  func prompt() async throws {
    let libraries = try Libraries(1)
    let program = try Child(DripBinary.workload("libraries"), [libraries.path, "1"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let target = try TargetProcess.open(pid: program.pid)
    let candidates = try TrialTests.candidates(for: target)
    var plan = try ProbePlan.make(candidates: candidates)
    plan.linker = LinkerPlan.make(candidates: candidates)
    let capture = try LiveCapture(
      target: target, plan: plan, options: CaptureOptions(maxLive: 10_000, maxSites: 1024), cpus: 64)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    _ = await capture.maintain()
    let before = try await capture.snapshot().sites.map(\.id)
    let descriptor = await capture.wakeDescriptor
    #expect(!isReadable(descriptor, within: 0), "nothing has come")
    program.send("GO")
    try #require(program.waitForLine { $0 == "LOADED" } != nil)
    #expect(isReadable(descriptor, within: 10_000))
    _ = await capture.maintain()
    #expect(!isReadable(descriptor, within: 0), "that was it")
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    let late = try await capture.snapshot().sites.filter { !before.contains($0.id) && $0.allocs == 25 }
    #expect(late.map(\.end) == [.complete])
    await capture.detach()
    program.closeInput()
    _ = program.finish()
  }

  private func isReadable(_ descriptor: CInt, within milliseconds: CInt) -> Bool {
    var descriptors = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
    return poll(&descriptors, 1, milliseconds) == 1
  }
}

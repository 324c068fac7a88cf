import Foundation
import Processes
import Testing

/// The kernel's own allocations, on the kernel that runs here. What has no tracepoint cannot be heard where functions may
/// not be probed; Tests/GuestTests has kernels where they may.
@Suite("kernel memory", .enabled(if: canRunLive), .serialized)
struct KernelTests {
  private struct Kernel: Decodable {
    struct Frame: Decodable {
      let function: String?
      let module: String?
    }
    struct Verdict: Decodable { let level: String }
    struct Site: Decodable {
      let pid: Int32
      let command: String
      let cache: String?
      let domain: String
      let caller_only: Bool
      let outstanding_count: UInt64
      let outstanding_bytes: UInt64
      let corroborated: Bool?
      let caveat: String?
      let frames: [Frame]
      let verdict: Verdict?

      /// Who called the allocator: what the function's own callees allocate, or the allocator for itself, is another site.
      var callSite: String? {
        goes(through: "alloc_slab_obj_exts")
          ? nil : frames.compactMap(\.function).first { !$0.contains("alloc") }
      }
      func goes(through function: String) -> Bool { frames.contains { $0.function == function } }
    }
    let backend: String
    let unheard_frees: [String]
    let losses: [String: UInt64]
    let sites: [Site]
  }

  private struct Dump: Decodable {
    let kernel: Kernel
    let sites: [DumpJSON.Site]
  }

  private static let count = 1000

  /// Runs the program under drip: objects are made, and closed if wanted. Those queues that are left go when it ends.
  /// `isGone`: drip goes on until this cache has as many objects fewer.
  private func dump(
    _ kind: String, closes: Bool, _ options: [String], isGone cache: String? = nil
  ) throws -> (dump: Dump, pid: Int32) {
    let program = try Child(DripBinary.workload("kernel_objects"), [kind, "\(Self.count)"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "--kernel", "--duration", "1h", "--format", "json"]
        + options.map { $0 == "PID" ? "\(program.pid)" : $0 })
    program.send("GO")
    try #require(program.waitForLine { $0 == "MADE" } != nil)
    if closes {
      let made = cache.flatMap { SlabCounts.read()?[name: $0]?.active }
      program.send("GO")
      try #require(program.waitForLine { $0 == "CLOSED" } != nil)
      if let cache, let made { Self.wait { (SlabCounts.read()?[name: cache]?.active ?? 0) + 500 < made } }
    }
    drip.signal(SIGINT)
    let result = drip.finish()
    program.closeInput()
    _ = program.finish()
    try #require(result.status == 0, "\(result.errors)")
    return (try JSONDecoder().decode(Dump.self, from: Data(result.output.utf8)), program.pid)
  }

  /// What was freed for later is gone some grace periods on.
  private static func wait(until isDone: () -> Bool) {
    let end = monotonicSeconds() + 20
    while !isDone(), monotonicSeconds() < end { usleep(20_000) }
  }

  /// One site with all of them: but for events that the kernel did not tell, which are told to be missed.
  private static func isAll(_ sites: [Kernel.Site], _ kernel: Kernel) -> Bool {
    guard sites.count == 1 else { return false }
    let missed = kernel.losses["missed_probes"] ?? 0
    return sites[0].outstanding_count <= UInt64(count) && sites[0].outstanding_count + missed >= UInt64(count)
  }

  @Test("a thousand message queues left behind: the exact count, the stack and who made them")
  func queues() throws {
    let (dump, pid) = try dump("queues", closes: true, ["--stacks", "always", "--backend", "rawtp"])
    let sites = dump.kernel.sites.filter { $0.callSite == "newque" && $0.command == "kernel_objects" }
    #expect(Self.isAll(sites, dump.kernel), "\(sites.map(\.outstanding_count)) \(dump.kernel.losses)")
    let site = try #require(sites.first)
    #expect(site.pid == pid)
    #expect(site.domain == "slab")
    #expect(site.cache?.hasPrefix("kmalloc-") == true, "\(site.cache ?? "")")
    #expect(site.goes(through: "ipcget"))
    #expect(site.frames.allSatisfy { $0.module == "kernel" })
    // The first frame is the allocator's, not BPF's.
    #expect(site.frames.first?.function?.contains("kmalloc") == true, "\(site.frames.first?.function ?? "")")
    #expect(dump.kernel.backend == "rawtp")
    #expect(dump.kernel.losses["table_full"] == 0)
    #expect(dump.sites.isEmpty, "no process was watched")
  }

  @Test("callers alone count as exactly, and nobody's stack is walked")
  func callers() throws {
    let (dump, _) = try dump("queues", closes: true, ["--stacks", "never"])
    #expect(dump.kernel.sites.allSatisfy { $0.caller_only && $0.frames.count == 1 })
    let sites = dump.kernel.sites.filter { $0.goes(through: "newque") }
    #expect(Self.isAll(sites, dump.kernel), "\(sites.map(\.outstanding_count)) \(dump.kernel.losses)")
  }

  @Test("with -p only what the process has the kernel allocate, beside its own heap")
  func both() throws {
    let (dump, pid) = try dump("queues", closes: true, ["-p", "PID"])
    #expect(!dump.kernel.sites.isEmpty)
    #expect(dump.kernel.sites.allSatisfy { $0.pid == pid && !$0.caller_only })
    let sites = dump.kernel.sites.filter { $0.callSite == "newque" }
    #expect(Self.isAll(sites, dump.kernel), "\(sites.map(\.outstanding_count)) \(dump.kernel.losses)")
    #expect(dump.sites.allSatisfy { $0.pid == pid })
  }

  @Test(
    "what is opened and closed leaves nothing",
    arguments: [("pipes", "create_pipe_files"), ("eventfds", "do_eventfd"), ("locks", "fcntl_setlk")])
  func closed(kind: String, function: String) throws {
    let open = try dump(kind, closes: false, ["-p", "PID"]).dump.kernel.sites
    #expect(
      open.filter { $0.goes(through: function) }.contains { $0.outstanding_count >= UInt64(Self.count) })
    let closed = try dump(kind, closes: true, ["-p", "PID"]).dump.kernel.sites
    let left = closed.filter { $0.goes(through: function) && $0.caveat == nil }.reduce(0) {
      $0 + $1.outstanding_count
    }
    #expect(left < 10, "\(closed.filter { $0.goes(through: function) })")
  }

  @Test("what is freed where nobody can hear it is no leak: registrations of epoll, which go by kfree_rcu")
  func unheard() throws {
    let kernel = try dump("epoll", closes: true, ["-p", "PID"], isGone: "eventpoll_epi").dump.kernel
    let site = try #require(
      kernel.sites.first { $0.goes(through: "do_epoll_ctl") && $0.cache == "eventpoll_epi" })
    if kernel.unheard_frees.isEmpty {
      #expect(site.outstanding_count == 0)
    } else {
      // Some addresses may have been handed out again meanwhile.
      #expect(site.outstanding_count > UInt64(Self.count) * 8 / 10)
      #expect(site.corroborated == false)
      #expect(site.caveat?.contains("this kernel does not tell of") == true, "\(site)")
    }
    #expect(site.verdict?.level != "leak" && site.verdict?.level != "likely")
  }

  @Test("by cache, module and process; a cache and a module alone")
  func groups() throws {
    for (grouping, title) in [("cache", "CACHE"), ("module", "MODULE"), ("process", "PROCESS")] {
      let result = try DripBinary.run("dump", "--kernel", "--duration", "300ms", "--by", grouping)
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains(title))
      #expect(result.output.contains("heard of: "))
    }
    let top = try DripBinary.run("top", "--kernel", "--by", "cache", "300ms", "1")
    #expect(top.status == 0 && top.output.contains("IN USE"), "\(top.output)\(top.errors)")
    let nothing = try DripBinary.run("dump", "--kernel", "--duration", "300ms", "--module", "no_such_module")
    #expect(
      nothing.status == 0 && nothing.output.contains("that the filters left out")
        || nothing.output.contains("Nothing"))
  }

  @Test(
    "what does not go together is told, with the way out",
    arguments: [
      (["--stacks", "always", "-p", "1"], "--stacks needs --kernel"),
      (["-p", "1", "--backend", "kprobe"], "add --kernel"),
      (["--kernel", "--comm", "x"], "--kernel goes with -p"),
      (["--kernel", "--backend", "session"], "rawtp, fentry, kprobe or tracepoint"),
      (["--kernel", "--follow"], "--follow is for processes"), (["--kernel", "--confirm"], "say which (-p)"),
      ([], "--kernel"),
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

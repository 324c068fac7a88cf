import Foundation
import Processes
import Testing

/// What the running kernel allocates for a program: left behind, given back, and given back in ways that no tracepoint
/// tells of.
@Suite("kernel memory", .enabled(if: canRunLive), .serialized)
struct KernelTests {
  /// The kernel's half of the JSON, as far as it is read here.
  struct Half: Decodable {
    struct Frame: Decodable {
      let function: String?
      let module: String?
    }
    struct Verdict: Decodable { let level: String }
    struct Site: Decodable {
      let domain: String
      let pid: Int32
      let command: String
      let cache: String?
      let caller_only: Bool
      let outstanding_count: UInt64
      let outstanding_bytes: UInt64
      let allocs: UInt64
      let frames: [Frame]
      let stack_end: String
      let verdict: Verdict?
      let corroborated: Bool?
      let caveat: String?

      /// The first function outside of the allocators.
      var caller: String? { frames.first { !KernelTests.isAllocator($0.function) }?.function }

      func contains(_ functions: [String]) -> Bool {
        frames.contains { frame in functions.contains { frame.function?.hasPrefix($0) == true } }
      }

      var words: String {
        "\(outstanding_count) of \(allocs) by \(frames.prefix(8).map { $0.function ?? "?" }.joined(separator: " < "))"
      }
    }
    let backend: String
    let unheard_frees: [String]
    let losses: [String: UInt64]
    let sites: [Site]
  }
  struct Dump: Decodable {
    let sites: [DumpJSON.Site]
    let kernel: Half
  }

  static let count: UInt64 = 1000

  /// Runs the workload from READY to DONE while drip watches the kernel; what drip said, the program's pid, and its lines
  /// after DONE. `byProcess`: drip is told to watch the program; otherwise it has ended before drip's watch does.
  /// `settles`: drip goes on until this slab cache has about as many objects as before.
  static func watch(
    _ kind: String, _ fate: String, count: UInt64 = count, byProcess: Bool = true, stacks: String = "always",
    settles cache: String? = nil
  ) throws -> (dump: Dump, pid: Int32, lines: [String]) {
    let program = try Child(DripBinary.workload("kernel_objects"), [kind, "\(count)", fate])
    try #require(program.line() == "READY")
    let target = byProcess ? ["-p", "\(program.pid)"] : []
    let drip = try DripBinary.attach(
      ["dump", "--kernel", "--duration", "120s", "--format", "json", "--stacks", stacks] + target)
    let before = cache.flatMap { SlabCounts.read()?[name: $0]?.active }
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE \(count)" } != nil)
    if let cache, let before {
      let end = monotonicSeconds() + 20
      while (SlabCounts.read()?[name: cache]?.active ?? 0) > before + count / 4, monotonicSeconds() < end {
        usleep(20_000)
      }
    }
    var lines: [String] = []
    if kind == "queue", fate == "keep", let line = program.line() { lines.append(line) }
    if !byProcess {
      // Its maker ends while drip watches; the objects stay.
      program.send("END")
      _ = program.finish()
    }
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0, "\(result.errors)")
    if byProcess {
      program.send("END")
      _ = program.finish()
    }
    return (try JSONDecoder().decode(Dump.self, from: Data(result.output.utf8)), program.pid, lines)
  }

  static func removeQueues(_ lines: [String]) throws {
    let queues = lines.flatMap { $0.split(separator: " ").dropFirst() }
    guard !queues.isEmpty else { return }
    let result = try run("/usr/bin/ipcrm", queues.flatMap { ["-q", String($0)] })
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test("1,000 message queues left behind: count, stack and process", arguments: [true, false])
  func queues(byProcess: Bool) throws {
    let (dump, pid, lines) = try Self.watch("queue", "keep", byProcess: byProcess)
    defer { try? Self.removeQueues(lines) }
    #expect(lines.count == 1)
    let sites = dump.kernel.sites.filter { $0.contains(["newque"]) && $0.outstanding_count > 0 }
    // The queue itself; what the kernel needs to number them is another site, of fewer and larger objects.
    let site = try #require(
      sites.first { $0.caller == "newque" }, "\(dump.kernel.sites.map(\.words))")
    Self.expectAll(site, dump.kernel)
    #expect(site.outstanding_bytes.isMultiple(of: site.outstanding_count))
    #expect(site.pid == pid)
    #expect(site.command == "kernel_objects")
    #expect(site.stack_end == "complete")
    #expect(site.contains(["ipcget"]) && site.contains(["do_syscall_64"]), "\(site.words)")
    #expect(site.frames.allSatisfy { $0.module == "kernel" && $0.function != nil })
    // The first frame is the allocator's, not BPF's.
    #expect(Self.isAllocator(site.frames.first?.function), "\(site.words)")
    #expect(site.cache?.hasPrefix("kmalloc-") == true, "\(site.cache ?? "")")
    if byProcess {
      #expect(dump.kernel.sites.allSatisfy { $0.pid == pid && !$0.caller_only })
      #expect(dump.sites.allSatisfy { $0.pid == pid })
    } else {
      #expect(dump.sites.isEmpty, "no process was watched")
    }
    for kind in ["table_full", "sites_full", "frames_full"] {
      #expect(dump.kernel.losses[kind] == 0, "\(kind)")
    }
  }

  /// All of them, and nothing else: but for events that the kernel did not tell, and that drip says it missed.
  static func expectAll(
    _ site: Half.Site, _ half: Half, _ location: SourceLocation = #_sourceLocation
  ) {
    let missed = half.losses["missed_probes"] ?? 0
    #expect((count - min(missed, count)...count).contains(site.outstanding_count), sourceLocation: location)
    #expect(site.allocs == site.outstanding_count, sourceLocation: location)
  }

  static func isAllocator(_ function: String?) -> Bool {
    let name = (function ?? "").drop { $0 == "_" }
    return ["kmalloc", "kvmalloc", "kzalloc", "kmem_cache_alloc"].contains { name.hasPrefix($0) }
  }

  @Test("queues that are removed leave nothing outstanding")
  func removedQueues() throws {
    let (dump, _, _) = try Self.watch("queue", "close")
    let sites = dump.kernel.sites.filter { $0.caller == "newque" }
    #expect(
      sites.reduce(0) { $0 + $1.allocs } + (dump.kernel.losses["missed_probes"] ?? 0) >= Self.count)
    #expect(sites.allSatisfy { ($0.verdict?.level).map { !["likely", "leak"].contains($0) } ?? true })
  }

  struct Released: Sendable, CustomTestStringConvertible {
    let kind: String
    /// Functions that allocate what the kind is made of.
    let makers: [String]
    /// The slab cache of those that are freed some grace periods after they are closed.
    var cache: String?
    var testDescription: String { kind }
  }

  @Test(
    "what is opened and closed leaves nothing outstanding",
    arguments: [
      Released(kind: "pipe", makers: ["alloc_pipe_info"]),
      Released(kind: "eventfd", makers: ["do_eventfd", "__do_sys_eventfd2", "__x64_sys_eventfd2"]),
      Released(kind: "lock", makers: ["posix_lock_inode", "fcntl_setlk", "locks_alloc_lock"]),
    ])
  func released(_ released: Released) throws {
    let (dump, _, _) = try Self.watch(released.kind, "close")
    let sites = dump.kernel.sites.filter { site in
      released.makers.contains { site.caller?.hasPrefix($0) == true }
    }
    #expect(
      sites.reduce(0) { $0 + $1.allocs } + (dump.kernel.losses["missed_probes"] ?? 0) >= Self.count,
      "not seen at all: \(dump.kernel.sites.map(\.words))")
    for site in sites { #expect(site.outstanding_count == 0, "\(site.words)") }
    Self.expectNoFinding(dump.kernel)
  }

  private static func expectNoFinding(_ half: Half) {
    for site in half.sites { #expect(!["likely", "leak"].contains(site.verdict?.level), "\(site.words)") }
  }

  @Test(
    "objects that are freed unheard are not called leaks",
    arguments: [
      Released(kind: "epoll", makers: ["do_epoll_ctl", "ep_insert"], cache: "eventpoll_epi"),
      Released(
        kind: "timerfd", makers: ["__do_sys_timerfd_create", "__x64_sys_timerfd_create"], cache: "kmalloc-256"
      ),
    ])
  func unheard(_ released: Released) throws {
    // Many, so that what others do to the same slab cache meanwhile is little.
    let many: UInt64 = 5000
    let (dump, _, _) = try Self.watch(released.kind, "close", count: many, settles: released.cache)
    Self.expectNoFinding(dump.kernel)
    let sites = dump.kernel.sites.filter { $0.contains(released.makers) }
    #expect(sites.reduce(0) { $0 + $1.allocs } >= many)
    // Where the frees are heard by a function probe there is nothing to doubt.
    for site in sites where site.outstanding_count >= many / 2 {
      #expect(!dump.kernel.unheard_frees.isEmpty)
      #expect(site.corroborated == false, "\(site.words)")
      #expect(site.caveat != nil)
    }
  }
}

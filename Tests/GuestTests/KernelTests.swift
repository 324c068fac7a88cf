import Testing

/// The kernel's own allocations, under each way to hear of them, against a module that counts its own.
@Suite("kernel memory in guests", Guest.areAvailable, .serialized)
struct KernelTests {
  /// drip's names of them. Debian's kernels have all.
  static let backends = ["rawtp", "kprobe", "fentry", "tracepoint"]
  private static let domains: Set = ["slab", "vmalloc"]

  private static func guest(_ series: String) throws -> Guest {
    if series == Guest.host { try Test.cancel("the running kernel takes no modules of ours") }
    return try Guest.kernel(series)
  }

  private static func dump(_ step: String, _ guest: Guest) throws -> KernelDump {
    let words = try guest.text(step + ".errors")
    try #require(try guest.status(of: step) == 0, "\(step): \(words)")
    return try KernelDump(guest.text(step + ".json"))
  }

  /// Nothing found a table full or was refused.
  private static func expectRoom(_ dump: KernelDump, _ step: String) {
    for kind in ["table_full", "inflight_full", "lost_returns", "sites_full", "frames_full", "scratch_busy"] {
      #expect(dump.half.losses[kind] == 0, "\(step): \(kind)")
    }
  }

  @Test(
    "every function's counts are exact, to the byte, with each backend", arguments: Guest.kernels, backends)
  func exactness(series: String, backend: String) throws {
    let guest = try Self.guest(series)
    let step = "kernel-\(backend)"
    let dump = try Self.dump(step, guest)
    let truth = try TruthFile(guest.text(step + ".truth")).sites
    #expect(dump.half.backend == backend)
    #expect(dump.half.unheard_frees == [])
    Self.expectRoom(dump, step)
    print(
      "kernel \(series), \(backend): \(dump.half.totals.allocs) allocations, \(dump.half.losses.filter { $0.value > 0 })"
    )
    let seen = dump.counts(by: truth.keys, domains: Self.domains)
    // Among them the correct users: of theirs nothing is outstanding.
    for (name, counts) in truth { #expect(seen[name] == counts, "\(name) by \(backend) on \(series)") }
    // Nor of what others allocate on their account, but for the areas that vmalloc clears away later.
    for site in dump.half.sites where site.outstanding_count > 0 && !site.in_interrupt {
      let names = site.frames.compactMap(\.function)
      guard names.contains(where: { $0.hasPrefix("drip_ok_") }) else { continue }
      #expect(names.contains { $0.hasPrefix("__vmalloc_node_range") }, "\(names)")
    }
    for site in dump.half.sites where truth[site.caller?.function ?? ""] != nil && !site.isForVmallocItself {
      #expect(site.caller?.module == "dripleak")
      #expect(!site.caller_only)
      let name = site.caller?.function ?? ""
      let isVmalloc = name.hasSuffix("_vmalloc") || name.hasSuffix("_kvmalloc") && site.domain == "vmalloc"
      #expect(site.domain == (isVmalloc ? "vmalloc" : "slab"), "\(name)")
      if name.hasSuffix("_cache") || name.hasSuffix("_bulk") {
        // Classic tracepoints do not tell of the cache.
        #expect(site.cache == "dripleak" || backend == "tracepoint" && site.cache == nil, "\(name)")
      }
    }
  }

  @Test("stacks lead from the allocation to the system call", arguments: Guest.kernels, backends)
  func stacks(series: String, backend: String) throws {
    let dump = try Self.dump("kernel-\(backend)", Self.guest(series))
    let sites = dump.half.sites.filter { $0.caller?.function == "drip_leak_kmalloc" }
    try #require(sites.count == 1, "\(sites.map { $0.frames.map(\.function) })")
    let names = sites[0].frames.map { $0.function ?? "?" }
    let begin = try #require(names.firstIndex(of: "drip_leak_kmalloc"))
    #expect(begin <= 2, "\(names)")
    #expect(names.contains("write_file") && names.contains("ksys_write"), "\(names)")
    #expect(names.last?.hasPrefix("entry_SYSCALL_64") == true, "\(names)")
    let machinery = ["bpf_", "__bpf_", "__traceiter_", "trace_", "ftrace_", "kprobe_", "rethook_", "perf_"]
    for site in dump.half.sites {
      let first = site.frames.first?.function ?? ""
      #expect(!machinery.contains { first.hasPrefix($0) } || first == "bpf_map_kmalloc_node", "\(first)")
    }
  }

  @Test("callers alone, without a stack, are as exact", arguments: Guest.kernels)
  func callers(series: String) throws {
    let guest = try Self.guest(series)
    let dump = try Self.dump("kernel-callers", guest)
    Self.expectRoom(dump, "callers")
    let truth = try TruthFile(guest.text("kernel-callers.truth")).sites
    let seen = dump.counts(by: truth.keys, domains: ["slab"])
    // vmalloc's caller is within vmalloc, and kvmalloc's small ones are kvmalloc_node's.
    for (name, counts) in truth where !name.hasSuffix("vmalloc") {
      #expect(seen[name] == counts, "\(name) on \(series)")
    }
    #expect(
      dump.half.sites.filter { $0.caller?.function == "drip_leak_kmalloc" }.allSatisfy {
        $0.caller_only && $0.frames.count == 1
      })
  }

  @Test("a module that is gone keeps its names", arguments: Guest.kernels)
  func unloaded(series: String) throws {
    let guest = try Self.guest(series)
    let dump = try Self.dump("kernel-unloaded", guest)
    let truth = try TruthFile(guest.text("kernel-unloaded.truth")).sites
    let seen = dump.counts(by: truth.keys, domains: Self.domains)
    let names = ["kmalloc", "sized", "large", "atomic", "node", "memdup", "krealloc"].map {
      "drip_leak_" + $0
    }
    for name in names { #expect(seen[name] == truth[name], "\(name) on \(series)") }
    // These it gave back when it went.
    for name in ["drip_leak_cache", "drip_leak_bulk", "drip_leak_vmalloc"] {
      #expect(seen[name]?.allocs == truth[name]?.allocs, "\(name) on \(series)")
      #expect(seen[name]?.outstandingBytes == 0, "\(name) on \(series)")
    }
  }

  @Test(
    "frees in interrupts: raw tracepoints lose none, kprobes tell of theirs and accuse nobody",
    arguments: Guest.kernels, ["rawtp", "kprobe"])
  func flood(series: String, backend: String) throws {
    let guest = try Self.guest(series)
    let step = "flood-\(backend)"
    let dump = try Self.dump(step, guest)
    Self.expectRoom(dump, step)
    let stale = try #require(dump.half.losses["stale_addresses"])
    let missed = try #require(dump.half.losses["missed_probes"])
    print(
      "kernel \(series), \(step): \(try guest.text(step + ".flood").split(separator: "\n").last ?? ""), "
        + "\(dump.half.totals.allocs) allocations, \(dump.half.totals.frees) frees, \(stale) stale, \(missed) missed"
    )
    #expect(dump.half.totals.frees > 10_000)
    if backend == "rawtp" { #expect(stale == 0) }
    for site in dump.half.sites {
      #expect(
        !["likely", "leak"].contains(site.verdict?.level),
        "\(site.frames.prefix(4).map { $0.function ?? "?" }): \(site.outstanding_count)")
    }
  }
}

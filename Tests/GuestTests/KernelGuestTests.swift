import Foundation
import Testing

/// The kernel's allocations on kernels that allow every backend: a module tells the truth (Tests/Guest/module).
@Suite("kernel memory in guests", Guest.areAvailable, .serialized)
struct KernelGuestTests {
  private struct Dump: Decodable {
    struct Frame: Decodable { let function: String? }
    struct Verdict: Decodable { let level: String }
    struct Site: Decodable {
      let domain: String
      let outstanding_count: UInt64
      let outstanding_bytes: UInt64
      let caller_only: Bool
      let frames: [Frame]
      let verdict: Verdict?
    }
    struct Kernel: Decodable {
      let backend: String
      let hooks: [String]
      let unheard_frees: [String]
      let losses: [String: UInt64]
      let sites: [Site]
    }
    let kernel: Kernel
  }

  private struct Left: Equatable, CustomStringConvertible {
    var count: UInt64 = 0
    var bytes: UInt64 = 0
    var description: String { "\(count) objects, \(bytes) bytes" }
  }

  private func dump(_ guest: Guest, _ name: String) throws -> Dump.Kernel {
    let errors = try guest.text(name + ".errors")
    try #require(try guest.status(of: name) == 0, "\(errors)")
    return try JSONDecoder().decode(Dump.self, from: Data(try guest.text(name + ".json").utf8)).kernel
  }

  /// What is outstanding of each of the module's functions, of one domain. What vmalloc keeps of an area is the kernel's
  /// and not the module's.
  private func left(_ sites: [Dump.Site], _ names: Set<String>, _ domain: String) -> [String: Left] {
    var result: [String: Left] = [:]
    for site in sites where site.domain == domain {
      let functions = site.frames.compactMap(\.function)
      let inner = functions.prefix { !names.contains($0) }
      guard let name = functions.first(where: names.contains),
        inner.count(where: { $0.hasPrefix("__vmalloc_node_range") }) <= (domain == "vmalloc" ? 1 : 0)
      else { continue }
      result[name, default: Left()].count += site.outstanding_count
      result[name, default: Left()].bytes += site.outstanding_bytes
    }
    return result.filter { $0.value.count > 0 }
  }

  private func truth(_ guest: Guest, _ name: String) throws -> [String: Left] {
    try TruthFile(guest.text(name + ".truth")).sites.mapValues {
      Left(count: $0.allocs - $0.frees, bytes: $0.outstandingBytes)
    }
  }

  private static let guests = Guest.kernels.filter { $0 != Guest.host }

  @Test(
    "every leaking function's count is exact, and no correct user is found, with each backend",
    arguments: guests, ["rawtp", "fentry", "kprobe", "tracepoint"])
  func exactness(series: String, backend: String) throws {
    let guest = try Guest.kernel(series)
    let name = "kernel-" + backend
    let kernel = try dump(guest, name)
    #expect(kernel.backend == backend)
    #expect(kernel.unheard_frees.isEmpty)
    #expect(kernel.losses["table_full"] == 0)
    #expect(kernel.losses["sites_full"] == 0)
    let truth = try truth(guest, name)
    try #require(truth.count > 15)
    let names = Set(truth.keys)
    let leaking = truth.filter { $0.value.count > 0 }
    try #require(leaking.count >= 11)
    func isOfPages(_ name: String) -> Bool { name.hasSuffix("vmalloc") }
    #expect(left(kernel.sites, names, "slab") == leaking.filter { !isOfPages($0.key) })
    #expect(left(kernel.sites, names, "vmalloc") == leaking.filter { isOfPages($0.key) })
    print("kernel \(series), \(backend): \(kernel.losses.filter { $0.value > 0 })")
  }

  @Test("callers alone, without a stack, are as exact", arguments: guests)
  func callers(series: String) throws {
    let guest = try Guest.kernel(series)
    let kernel = try dump(guest, "kernel-callers")
    // fentry, by which calls without a tracepoint are told of, knows its caller by the stack alone.
    func isUntold(_ site: Dump.Site) -> Bool {
      site.domain == "vmalloc" || site.frames.contains { $0.function == "kmem_cache_alloc_bulk" }
        || site.frames.contains { $0.function == "kmem_cache_alloc_bulk_noprof" }
    }
    #expect(kernel.sites.allSatisfy { $0.caller_only != isUntold($0) || $0.caller_only })
    let truth = try truth(guest, "kernel-callers")
    let expected = truth.filter {
      $0.value.count > 0 && !$0.key.hasSuffix("vmalloc") && $0.key != "drip_leak_bulk"
    }
    let found = left(kernel.sites, Set(truth.keys), "slab")
    for (name, left) in expected { #expect(found[name] == left, "\(name)") }
    #expect(found.keys.allSatisfy { !$0.hasPrefix("drip_ok_") })
  }

  @Test(
    "under a flood of interrupts no free is lost by raw tracepoints, and no backend accuses anybody",
    arguments: guests)
  func flood(series: String) throws {
    let guest = try Guest.kernel(series)
    for backend in ["rawtp", "kprobe"] {
      let kernel = try dump(guest, "flood-" + backend)
      let messages = try #require(
        try guest.text("flood-\(backend).flood").split(separator: " ").first.flatMap { Int($0) })
      #expect(messages > 10_000)
      let stale = try #require(kernel.losses["stale_addresses"])
      print("kernel \(series), \(backend): \(messages) messages, \(stale) frees lost")
      if backend == "rawtp" { #expect(stale == 0) }
      #expect(kernel.sites.allSatisfy { $0.verdict?.level != "leak" && $0.verdict?.level != "likely" })
    }
  }

  @Test("no program takes the verifier more than 10,000 instructions", arguments: guests)
  func verifier(series: String) throws {
    let guest = try Guest.kernel(series)
    for backend in ["rawtp", "fentry", "kprobe", "tracepoint"] {
      let programs = try guest.text("kernel-\(backend).programs").split(separator: "\n")
      try #require(programs.count > 2)
      for line in programs {
        let words = line.split(separator: " ")
        try #require(words.count == 4 && words[0] == "PROGRAM", "\(line)")
        #expect(try #require(Int(words[2])) <= VerifierTests.limit, "\(line) on \(series)")
      }
    }
  }
}

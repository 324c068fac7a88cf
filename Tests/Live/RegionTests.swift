import Foundation
import Testing

/// Mapped memory, against a program that maps and unmaps in every way and counts itself.
@Suite("mapped memory", .enabled(if: canRunLive), .serialized)
struct RegionTests {
  private struct Mapped: Decodable {
    struct Site: Decodable {
      let origin: String
      let allocs: UInt64
      let allocated_bytes: UInt64
      let outstanding_bytes: UInt64
      let frames: [DumpJSON.Frame]
    }
    struct Memory: Decodable {
      let totals: DumpJSON.Totals
      let sites: [Site]
    }
    let totals: DumpJSON.Totals
    let losses: [String: UInt64]
    let mapped: Memory?
  }

  private func watch(_ arguments: [String]) throws -> (truth: [String: [UInt64]], seen: Mapped) {
    let program = try Child(DripBinary.workload("regions"))
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json"] + arguments)
    program.send("GO")
    var truth: [String: [UInt64]] = [:]
    while let line = program.line(), line != "END" {
      let words = line.split(separator: " ")
      if words.first == "REGION" { truth[String(words[1])] = words.dropFirst(2).compactMap { UInt64($0) } }
    }
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    program.send("BYE")
    return (truth, try JSONDecoder().decode(Mapped.self, from: Data(result.output.utf8)))
  }

  @Test(
    "partial, moved, replaced and failed: every site equals its truth, in pages",
    arguments: ["session", "multi", "perf"])
  func exact(backend: String) throws {
    let (truth, seen) = try watch(["--domain", "mmap", "--backend", backend])
    #expect(truth.count == 7)
    #expect(seen.losses["total"] == 0, "\(seen.losses)")
    #expect(seen.totals.allocs == 0, "the heap was not asked for")
    let mapped = try #require(seen.mapped)
    var counts: [String: [UInt64]] = [:]
    for site in mapped.sites {
      guard let name = site.frames.lazy.compactMap(\.function).first(where: { $0.hasPrefix("site_") }) else {
        #expect(site.origin != "program", "\(site.frames.map(\.function))")
        continue
      }
      #expect(site.origin == "program", "\(name)")
      var entry = counts[name] ?? [0, 0, 0]
      entry[0] += site.allocs
      entry[1] += site.allocated_bytes
      entry[2] += site.allocated_bytes - site.outstanding_bytes
      counts[name] = entry
    }
    for (name, expected) in truth where expected[0] > 0 { #expect(counts[name] == expected, "\(name)") }
    let threads = mapped.sites.filter { $0.origin == "thread_stack" }
    #expect(threads.reduce(0) { $0 + $1.allocs } == 4, "a stack for each of four threads")
  }

  @Test("all: the heap's sums and the mapped ones stay apart")
  func all() throws {
    let (truth, seen) = try watch(["--domain", "all"])
    let mapped = try #require(seen.mapped)
    #expect(mapped.totals.allocs > (truth["site_plain"]?.first ?? .max))
    // The threads' control blocks are the program's only heap objects.
    #expect(seen.totals.allocs > 0 && seen.totals.allocs < 100)
    #expect(seen.totals.allocated_bytes < 1 << 20)
  }
}

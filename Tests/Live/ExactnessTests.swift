import Foundation
import Testing

/// Per-site truth as a workload counted it itself.
private struct Truth: Equatable, CustomStringConvertible {
  var allocs: UInt64 = 0
  var frees: UInt64 = 0
  var allocatedBytes: UInt64 = 0
  var outstandingBytes: UInt64 = 0

  var description: String {
    "\(allocs) allocs, \(frees) frees, \(allocatedBytes) bytes allocated, \(outstandingBytes) outstanding"
  }
}

/// drip's numbers against a workload that counts its own: every entry point of glibc's allocator, threads,
/// sizes from 1 byte to 64 MiB, reallocs that grow, shrink, move and fail, frees from other threads. Equal to
/// the last byte, or the test fails. DRIP_EXACTNESS_RUNS sets how often (docs/benchmarks.md has 50 of 50).
@Suite("exactness", .enabled(if: canRunLive), .serialized)
struct ExactnessTests {
  static let runs = Int(ProcessInfo.processInfo.environment["DRIP_EXACTNESS_RUNS"] ?? "") ?? 3

  @Test("every site equals its own truth", arguments: ["session", "multi", "perf"])
  func sitesEqualTruth(backend: String) throws {
    // perf links take 0.1 s each to go: fewer runs of those.
    let runs = backend == "session" ? Self.runs : max(Self.runs / 3, 1)
    for seed in 1...runs {
      let threads = [1, 4, 8][seed % 3]
      try check(seed: seed, operations: 30_000, threads: threads, backend: backend)
    }
  }

  private func check(seed: Int, operations: Int, threads: Int, backend: String) throws {
    let workload = try Child(
      DripBinary.workload("truth"), ["\(seed)", "\(operations)", "\(threads)"])
    try #require(workload.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach([
      "dump", "-p", "\(workload.pid)", "--duration", "120s", "--format", "json", "--backend", backend,
    ])
    workload.send("GO")
    var truth: [String: Truth] = [:]
    while let line = workload.line() {
      let words = line.split(separator: " ")
      if words.first == "SITE", words.count >= 6, let allocs = UInt64(words[2]), let frees = UInt64(words[3]),
        let allocated = UInt64(words[4]), let freed = UInt64(words[5])
      {
        truth[String(words[1])] = Truth(
          allocs: allocs, frees: frees, allocatedBytes: allocated, outstandingBytes: allocated - freed)
      }
      if words.first == "TOTAL" { break }
    }
    #expect(truth.count > 10, "the workload printed its truth")
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0, "\(result.errors)")
    workload.send("END")

    let dump = try DumpJSON.parse(result.output)
    var seen: [String: Truth] = [:]
    for site in dump.sites {
      let name = site.frames.lazy.compactMap(\.function).first { $0.hasPrefix("site_") } ?? "elsewhere"
      seen[name, default: Truth()].allocs += site.allocs
      seen[name, default: Truth()].frees += site.frees
      seen[name, default: Truth()].allocatedBytes += site.allocated_bytes
      seen[name, default: Truth()].outstandingBytes += site.outstanding_bytes
    }
    for (name, expected) in truth where expected.allocs > 0 {
      #expect(seen[name] == expected, "\(name), seed \(seed), \(threads) threads, \(backend)")
    }
    #expect(seen["elsewhere"] == nil, "nothing was allocated outside of the sites")
    #expect(dump.losses["total"] == 0, "\(dump.losses)")
  }
}

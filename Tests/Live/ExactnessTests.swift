import Foundation
import Testing

/// drip's numbers against a workload that counts its own: every entry point of glibc's allocator, threads,
/// sizes from 1 byte to 64 MiB, reallocs that grow, shrink, move and fail, frees from other threads. Equal to
/// the last byte, or the test fails. DRIP_EXACTNESS_RUNS sets how often (docs/benchmarks.md has what that gave).
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
    let run = try TruthRun(
      "truth", ["\(seed)", "\(operations)", "\(threads)"], drip: ["--backend", backend])
    #expect(run.truth.count > 10, "the workload printed its truth")
    run.expectExact("seed \(seed), \(threads) threads, \(backend)")
  }
}

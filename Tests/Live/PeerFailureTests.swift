import Foundation
import Testing

/// What other tools are documented to get wrong, at full size.
@Suite("what peers get wrong", .enabled(if: canRunLive), .serialized)
struct PeerFailureTests {
  /// Runs a workload from READY to each of the answers it gives, and then takes drip's result.
  private func watch(
    _ workload: String, _ arguments: [String], answers: [String] = ["DONE"], drip extra: [String] = []
  ) throws -> DumpJSON {
    let program = try Child(DripBinary.workload(workload), arguments)
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(program.pid)", "--duration", "900s", "--format", "json"] + extra)
    for answer in answers {
      program.send("GO")
      try #require(program.waitForLine { $0.hasPrefix(answer) } != nil)
    }
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    program.send("END")
    return try DumpJSON.parse(result.output)
  }

  @Test("20,000 distinct stacks, none lost")
  func stacks() throws {
    let dump = try watch("manysites", ["20000"])
    #expect(dump.sites.count == 20_000)
    #expect(dump.sites.allSatisfy { $0.outstanding_count == 1 && $0.stack_end == "complete" })
    #expect(dump.losses["sites_full"] == 0 && dump.losses["frames_full"] == 0 && dump.losses["total"] == 0)
  }

  @Test("1.5 million objects with a table for one million, all freed: no phantom")
  func phantoms() throws {
    let dump = try watch(
      "one_site", ["1500000", "16"], answers: ["DONE", "FREED"], drip: ["--max-live", "1000000"])
    #expect(dump.totals.outstanding_count == 0 && dump.totals.outstanding_bytes == 0)
    #expect(dump.totals.allocs == dump.totals.frees)
    #expect(dump.totals.allocs + (dump.losses["table_full"] ?? 0) == 1_500_000)
  }

  @Test(
    "17 million objects at one site, with a table for them: all counted",
    .enabled(if: ProcessInfo.processInfo.physicalMemory >= 6 << 30, "needs 6 GiB of memory"))
  func seventeenMillion() throws {
    let dump = try watch("one_site", ["17000000", "16"], drip: ["--max-live", "17000000"])
    #expect(dump.totals.outstanding_count == 17_000_000 && dump.totals.allocs == 17_000_000)
    #expect(dump.totals.outstanding_bytes == 17_000_000 * 16)
    #expect(dump.losses["total"] == 0, "\(dump.losses)")
  }

  @Test(
    "more objects than there is room for: what is not counted is, as a loss; no phantom after all are freed")
  func refused() throws {
    let full = try watch("one_site", ["1000000", "16"], drip: ["--max-live", "60000"])
    #expect(full.totals.outstanding_count + (full.losses["table_full"] ?? 0) == 1_000_000)
    #expect((full.losses["table_full"] ?? 0) > 0)
    let freed = try watch(
      "one_site", ["1000000", "16"], answers: ["DONE", "FREED"], drip: ["--max-live", "60000"])
    #expect(freed.totals.outstanding_count == 0)
  }

  @Test("eight threads that free everything leave nothing")
  func threads() throws {
    let dump = try watch("threads_free", ["8", "20000"])
    #expect(dump.totals.outstanding_count == 0 && dump.totals.outstanding_bytes == 0, "\(dump.sites.count)")
    #expect(dump.totals.allocs == 160_000 && dump.losses["total"] == 0)
  }

  @Test("a thousand threads at once")
  func manyThreads() throws {
    let dump = try watch("threads_free", ["1000", "200"])
    #expect(dump.totals.outstanding_count == 0 && dump.totals.allocs == 200_000, "\(dump.totals)")
    #expect(dump.losses["total"] == 0, "\(dump.losses)")
  }
}

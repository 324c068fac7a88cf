import Foundation
import Testing

/// Samples, windows, and programs that sample themselves.
@Suite("samples and windows", .enabled(if: canRunLive), .serialized)
struct SamplingTests {
  private struct Sampled: Decodable {
    struct Site: Decodable {
      let outstanding_bytes: Double
      let outstanding_count: Double
      let sampled_objects: UInt64?
      let outstanding_bytes_error: Double?
      let outstanding_count_error: Double?
    }
    struct Capture: Decodable {
      let notes: [String]
      let filters: [String]
    }
    let capture: Capture
    let totals: DumpJSON.Totals
    let losses: [String: UInt64]
    let sites: [Site]
  }

  private func oneSite(
    _ count: Int, _ size: Int, _ options: [String], frees: Bool = false
  ) throws -> Sampled {
    let program = try Child(DripBinary.workload("one_site"), ["\(count)", "\(size)"])
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json"] + options)
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    if frees {
      program.send("FREE")
      try #require(program.waitForLine { $0.hasPrefix("FREED") } != nil)
    }
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    program.send("END")
    return try JSONDecoder().decode(Sampled.self, from: Data(result.output.utf8))
  }

  @Test("estimates lie within five of their standard errors", arguments: [64, 1000, 30_000])
  func estimate(size: Int) throws {
    let count = 64_000_000 / size / (size == 64 ? 10 : 1)
    let dump = try oneSite(count, size, ["--sample-bytes", "64KiB"])
    let site = try #require(dump.sites.max { $0.outstanding_bytes < $1.outstanding_bytes })
    let error = try #require(site.outstanding_bytes_error)
    let countError = try #require(site.outstanding_count_error)
    #expect(error > 0 && (site.sampled_objects ?? 0) > 20)
    #expect(abs(site.outstanding_bytes - Double(count * size)) < 5 * error, "\(site)")
    #expect(abs(site.outstanding_count - Double(count)) < 5 * countError, "\(site)")
    // The error is that of so large a sample, not anything.
    #expect(error < Double(count * size) / 2)
    #expect(dump.capture.filters.contains { $0.contains("sample") })
  }

  @Test("a sample of what is freed leaves nothing")
  func freed() throws {
    let dump = try oneSite(100_000, 200, ["--sample-bytes", "16KiB"], frees: true)
    #expect(
      dump.totals.outstanding_bytes == 0 && dump.totals.outstanding_count == 0 && dump.totals.allocs > 0)
    #expect(dump.losses["total"] == 0)
  }

  @Test("a distance of one byte keeps everything")
  func everything() throws {
    let dump = try oneSite(5000, 64, ["--sample-bytes", "1"])
    #expect(dump.totals.outstanding_count == 5000 && dump.sites.allSatisfy { $0.sampled_objects == nil })
  }

  @Test("windows see a part, and say which; the program goes on")
  func duty() throws {
    let program = try Child(
      "/usr/bin/env",
      [
        "PYTHONMALLOC=malloc", "/usr/bin/python3", "-c",
        """
        import sys
        print('READY', flush=True)
        kept = []
        while True:
            kept.append(bytearray(3000))
            if len(kept) > 1000: kept = []
        """,
      ])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let result = try DripBinary.run(
      "dump", "-p", "\(program.pid)", "--duration", "3s", "--duty", "100ms/500ms", "--format", "json")
    try #require(result.status == 0, "\(result.errors)")
    let dump = try JSONDecoder().decode(Sampled.self, from: Data(result.output.utf8))
    #expect(dump.totals.allocs > 100)
    #expect(dump.capture.notes.contains { $0.contains("Probes were in place for") })
    #expect(dump.capture.notes.contains { $0.contains("upper bound") })
    #expect(program.isRunning)
    let bad = try DripBinary.run("dump", "-p", "\(program.pid)", "--duty", "1s/1s")
    #expect(bad.status != 0)
  }

  @Test(
    "a program that samples itself is read by its own trace points", arguments: ["session", "multi", "perf"])
  func usdt(backend: String) throws {
    let program = try Child(DripBinary.workload("usdt_sampler"), ["7", "100000", "4096"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach([
      "dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json", "--backend", backend,
    ])
    program.send("GO")
    var truth: [String: [UInt64]] = [:]
    while let line = program.line() {
      let words = line.split(separator: " ")
      if words.first == "SITE" { truth[String(words[1])] = words.dropFirst(2).compactMap { UInt64($0) } }
      if words.first == "TOTAL" { break }
    }
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    program.send("END")
    let dump = try DumpJSON.parse(result.output)
    var seen: [String: [UInt64]] = [:]
    for site in dump.sites {
      let name = site.frames.lazy.compactMap(\.function).first { $0.hasPrefix("site_") } ?? "elsewhere"
      let old = seen[name] ?? [0, 0, 0, 0]
      seen[name] = zip(old, [site.allocs, site.frees, site.allocated_bytes, site.outstanding_bytes]).map(+)
    }
    #expect(truth.count > 1)
    for (name, expected) in truth where expected[0] > 0 {
      #expect(seen[name] == [expected[0], expected[1], expected[2], expected[5]], "\(name)")
    }
    #expect(seen["elsewhere"] == nil && dump.losses["total"] == 0)
  }
}

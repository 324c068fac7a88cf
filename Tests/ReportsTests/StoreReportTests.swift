import Foundation
import Profile
import Testing

@testable import Reports
@testable import Store

@Suite("reports of a store")
struct StoreReportTests {
  private let hour: Int64 = 3_600_000

  private func report(ended: Bool = false) -> StoreReport {
    let identity = ProcessIdentity(pid: 42, startTicks: 7, image: 1)
    let process = StoredProcess(
      identity: identity, command: "ser\u{1b}[2Jver", executable: "/usr/bin/server", buildID: "ab12",
      cgroup: "/system.slice/x")
    let growth = GrowthRow(
      process: identity, since: 0, told: 60_000, seen: hour, ended: ended ? hour : nil,
      reason: ended ? "levelled off" : nil, bytesPerSecond: 2048, low: 1024, high: 4096, from: 10 << 20,
      to: 20 << 20)
    let site = StoredSite(
      frames: [
        Frame(address: 1, function: "malloc", module: "/lib/libc.so.6", offset: 1),
        Frame(
          address: 2, function: "leak\"y", module: "/usr/bin/server", buildID: "ab12", offset: 2,
          file: "/s/a.c",
          line: 9),
      ], end: .truncated, allocs: 10, frees: 1, allocatedBytes: 1000, outstandingCount: 9,
      outstandingBytes: 900, bytesError: 50, oldestSeconds: 3,
      suspicion: StoredSuspicion(level: "watch", words: "watch: it grows", evidence: #"{"level": "watch"}"#))
    var state = RunState()
    state.intervals = 360
    state.cpuSeconds = 3.6
    state.lostIntervals = 2
    return StoreReport(
      path: "/s/store.db", bytes: 4096,
      runs: [
        StoreReport.Run(
          started: 0, seen: hour, ended: nil, reason: nil, drip: "1", kernel: "6", intervalSeconds: 10,
          state: state)
      ],
      processes: 1, samples: 300, snapshots: 1,
      growing: [
        StoreReport.Growing(
          process: process, growth: growth, lastSeen: hour, exited: nil,
          memory: MemoryRow(process: identity, resident: 30 << 20, anonymous: 20 << 20, swapped: 0),
          snapshot: StoredSnapshot(
            process: identity, time: hour, watchedSeconds: 60, seenSeconds: 15, sampleBytes: 4096, losses: 1,
            notes: ["in windows."], sites: [site]), omittedSites: 3)
      ], omitted: 2)
  }

  @Test("text names the process, the rate with its interval, what was seen, the site, the suspicion")
  func text() {
    let text = StoreText.render(report(), now: hour + 5000)
    for words in [
      "1 process, 300 samples", "used 0.100 % of a CPU", "2 looks could not be stored", "(pid 42): grows",
      "+2.00 KiB/s (+1.00 KiB/s to +4.00 KiB/s) for 1 h 0 min, from 10.0 MiB to 20.0 MiB; RSS 30.0 MiB",
      "build id ab12, cgroup /system.slice/x",
      "call sites 5.0 s ago, probes in place for 25.0 % of 1 min 0 s",
      "1 event lost", "in windows.", "900 B ± 98 B in 9 objects", "watch: it grows", "leak\"y (a.c:9)",
      "cut at the depth limit", "3 more call sites", "2 more stretches",
    ] { #expect(text.contains(words), "\(words) in:\n\(text)") }
    #expect(!text.contains("\u{1b}"))
    #expect(StoreText.render(report(ended: true), now: hour + 5000).contains("ended 5.0 s ago: levelled off"))
    #expect(StoreText.render(report(), now: 2 * hour).contains("grew when it was last seen, 1 h 0 min ago"))
  }

  @Test("JSON holds every figure, and evidence as it was stored")
  func json() throws {
    let text = StoreJSON.render(report())
    let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let one = try #require((object["growing"] as? [[String: Any]])?.first)
    #expect(one["pid"] as? Int == 42 && one["bytes_per_second_low"] as? Double == 1024)
    #expect(one["command"] as? String == "ser\u{1b}[2Jver" && one["ended_ms"] is NSNull)
    let snapshot = try #require(one["snapshot"] as? [String: Any])
    let site = try #require((snapshot["sites"] as? [[String: Any]])?.first)
    #expect(site["outstanding_bytes"] as? Int == 900 && site["stack_end"] as? String == "truncated")
    #expect((site["suspicion"] as? [String: Any])?["evidence"] as? String == #"{"level": "watch"}"#)
    let frame = try #require((site["frames"] as? [[String: Any]])?.last)
    #expect(frame["function"] as? String == "leak\"y" && frame["line"] as? Int == 9)
    let run = try #require((object["runs"] as? [[String: Any]])?.first)
    #expect(run["lost_intervals"] as? Int == 2)
    #expect(object["omitted"] as? Int == 2 && one["omitted_sites"] as? Int == 3)
  }

  @Test("a line of the log cannot be broken by a name")
  func logLine() {
    var line = LogLine("growth", unixMilliseconds: 1_000)
    line.add("comm", "a b\"\n\u{1b}[31m=")
    line.add("plain", "/usr/bin/x-1.2")
    line.add("empty", "")
    line.add("rate", 12.345, decimals: 1)
    line.add("bad", .nan, decimals: 1)
    #expect(
      line.line
        == #"time=1970-01-01T00:00:01.000Z event=growth comm="a b\"??[31m=" plain=/usr/bin/x-1.2 empty="" "#
        + "rate=12.3 bad=unknown")
    #expect(!LogLine("x", unixMilliseconds: .max).line.isEmpty)
  }
}

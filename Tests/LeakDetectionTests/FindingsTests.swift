import Profile
import Testing

@testable import LeakDetection

@Suite("findings")
struct FindingsTests {
  private func site(_ name: String, growth: Double?, allocs: UInt64 = 1300, count: UInt64 = 1234) -> Site {
    Site(
      pid: 1, outstandingBytes: 1_258_292, outstandingCount: count, allocs: allocs, frees: 66,
      allocatedBytes: 2_000_000, oldestSeconds: 9.8, growthBytesPerSecond: growth,
      frames: [Frame(address: 1, function: name, module: "/bin/server", file: "/src/server.c", line: 42)])
  }

  private func profile(_ sites: [Site], allocs: UInt64 = 5000, omitted: Int = 0, lost: UInt64 = 0)
    -> HeapProfile
  {
    var losses = Losses()
    losses[.tableFull] = lost
    return HeapProfile(
      dripVersion: "0.1.0",
      capture: CaptureInfo(startUnixNanoseconds: 0, seconds: 10, kernel: "6.18", backend: "uprobe session"),
      processes: [], totals: Totals(outstandingBytes: 1_310_720, outstandingCount: 1300, allocs: allocs),
      losses: losses, table: TableUse(), sites: sites, omittedSites: omitted)
  }

  @Test("one site that grows, with its evidence and what the watch cannot tell")
  func one() {
    #expect(
      Findings.summarise(
        profile: profile([site("steady", growth: 0), site("hold_request", growth: 122_880)])) == [
          "One call site grew over the later half of 10.0 s:",
          "  hold_request (server.c:42) by +120.0 KiB/s. It allocated 1,300 times and freed 66 of those; it holds 1.20 MiB in 1,234 objects, 96.0 % of all that is outstanding, the oldest for 9.8 s.",
          "  10.0 s cannot tell a leak from a cache that is still filling: watch longer if the growth matters.",
        ])
  }

  @Test("of several the fastest is described")
  func several() {
    let sites = [
      site("a", growth: 5000), site("b", growth: 9000), site("c", growth: -9000), site("d", growth: nil),
    ]
    let lines = Findings.summarise(profile: profile(sites))
    #expect(lines[0] == "2 call sites grew over the later half of 10.0 s; the fastest:")
    #expect(lines[1].hasPrefix("  b (server.c:42) by +8.79 KiB/s."))
  }

  @Test("nothing is said about sites that are not shown")
  func omitted() {
    #expect(
      Findings.summarise(profile: profile([site("a", growth: 0)], omitted: 4))
        == ["No call site shown grew over the later half of 10.0 s."])
    #expect(
      Findings.summarise(profile: profile([site("a", growth: 9000)], omitted: 4))[0]
        == "One call site of those shown grew over the later half of 10.0 s:")
    #expect(
      Findings.summarise(profile: profile([site("a", growth: 9000), site("b", growth: 9000)], omitted: 4))[0]
        == "2 of the call sites shown grew over the later half of 10.0 s; the fastest:")
  }

  @Test("no growth, nothing allocated, nothing left, too short")
  func none() {
    let nothingGrew = ["No call site grew over the later half of 10.0 s."]
    #expect(
      Findings.summarise(profile: profile([site("a", growth: 0), site("b", growth: -500)])) == nothingGrew)
    #expect(
      Findings.summarise(profile: profile([site("a", growth: 1.1)])) == nothingGrew, "4 KiB an hour is noise")
    #expect(Findings.summarise(profile: profile([])) == nothingGrew)
    #expect(
      Findings.summarise(profile: profile([], allocs: 0)) == ["Nothing was allocated while drip watched."])
    #expect(Findings.summarise(profile: profile([site("a", growth: nil)]))[0].contains("too short to tell"))
  }

  @Test("losses put the figures in doubt")
  func losses() {
    let lines = Findings.summarise(profile: profile([site("a", growth: 0)], lost: 3))
    #expect(lines.last == "  Not every call was counted (see the losses): these figures may be off.")
  }

  @Test("the singular, and a site without a stack")
  func wording() {
    var lone = site("once", growth: 9000, allocs: 1, count: 1)
    #expect(Findings.summarise(profile: profile([lone]))[1].contains("It allocated once and freed 66"))
    #expect(Findings.summarise(profile: profile([lone]))[1].contains("in 1 object,"))
    lone.frames = []
    #expect(Findings.summarise(profile: profile([lone]))[1].hasPrefix("  (no room for this stack) by "))
  }
}

import Foundation
import Profile
import SwiftProtobuf
import Testing

@testable import Reports

private func sample() -> HeapProfile {
  var losses = Losses()
  losses[.unmatchedFrees] = 12
  let frames = [
    Frame(
      address: 0x1010, function: "inner", module: "/bin/app", buildID: "ab12", offset: 0x10, file: "/src/a.c",
      line: 3, inlined: true),
    Frame(
      address: 0x1010, function: "outer;\u{1b}\"x\\", module: "/bin/app", buildID: "ab12", offset: 0x10,
      file: "/src/a.c", line: 9),
    Frame(address: 0x2020, module: "/lib/libz.so.1", buildID: "cd34", offset: 0x20),
  ]
  return HeapProfile(
    dripVersion: "9.9",
    capture: CaptureInfo(
      startUnixNanoseconds: 1_700_000_000_123_000_000, seconds: 10, kernel: "6.1", backend: "uprobe multi",
      ended: "interrupted", filters: ["objects older than 5.0 s"]),
    processes: [Target(pid: 42, startTicks: 7, command: "app", executable: "/bin/app")],
    totals: Totals(outstandingBytes: 3072, outstandingCount: 3, allocs: 10, frees: 7, allocatedBytes: 9000),
    losses: losses, table: TableUse(live: 3, liveCapacity: 1000, sites: 2, siteCapacity: 64, bytes: 1 << 20),
    sites: [
      Site(
        pid: 42, outstandingBytes: 2048, outstandingCount: 2, allocs: 6, frees: 4, allocatedBytes: 6000,
        oldestSeconds: 9.5, growthBytesPerSecond: 204.8, frames: frames, stackEnd: .complete),
      Site(
        pid: 42, outstandingBytes: 1024, outstandingCount: 1, allocs: 4, frees: 3,
        allocatedBytes: UInt64.max / 2 + 9,
        frames: [], stackEnd: .missing),
    ], omittedSites: 2, omittedBytes: 100, omittedCount: 5)
}

@Suite("text")
struct TextReportTests {
  @Test("sites, stacks, totals, losses and notes are there")
  func content() {
    let text = TextReport.render(sample())
    for part in [
      "drip 9.9: app (pid 42)", "(interrupted)", "only objects older than 5.0 s",
      "#1  2.00 KiB (66.7 %) in 2 objects",
      "oldest 9.5 s", "growing 205 B/s", "6 allocs, 4 frees", "inner [inlined]  a.c:3",
      "libz.so.1+0x20  build id cd34",
      "(no room for this stack)", "outstanding  3.00 KiB in 3 objects", "at 2 of 4 call sites",
      "losses       none",
      "note         12 frees of blocks allocated before the attach", "1.00 MiB of kernel memory",
    ] { #expect(text.contains(part), "\(part) in:\n\(text)") }
    #expect(!text.contains("\u{1b}[1m"))
    #expect(TextReport.render(sample(), options: TextOptions(color: true)).contains("\u{1b}[1m"))
  }

  @Test("losses that cost counts stand out")
  func losses() {
    var profile = sample()
    profile.losses[.tableFull] = 3
    let text = TextReport.render(profile)
    #expect(text.contains("losses       3 allocations not counted"))
    #expect(!text.contains("losses       none"))
  }

  @Test("the table has a line a site, no wider than asked")
  func table() {
    let text = TopTable.render(sample(), rows: 1, color: false, width: 100)
    #expect(text.contains("CALL SITE"))
    #expect(text.contains("inner (a.c:3)"))
    #expect(text.contains("3 more call sites"))
    let lines: [String] = text.components(separatedBy: "\n")
    #expect(lines.dropFirst(3).allSatisfy { $0.count <= 100 })
  }
}

@Suite("machine formats")
struct MachineFormatTests {
  @Test("JSON keeps its promises")
  func json() throws {
    let data = Data(JSONReport.render(sample()).utf8)
    let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(
      Set(root.keys) == [
        "drip", "capture", "processes", "totals", "losses", "stack_checks", "tables", "stacks", "omitted",
        "filtered", "folded", "sites", "mapped",
      ])
    let capture = try #require(root["capture"] as? [String: Any])
    #expect(capture["start"] as? String == "2023-11-14T22:13:20.123Z")
    #expect(capture["ended"] as? String == "interrupted")
    let losses = try #require(root["losses"] as? [String: Any])
    #expect(losses.count == LossKind.allCases.count + 1)
    #expect(losses["total"] as? Int == 0)
    let sites = try #require(root["sites"] as? [[String: Any]])
    #expect(sites[1]["oldest_seconds"] is NSNull)
    #expect((sites[1]["allocated_bytes"] as? NSNumber)?.uint64Value == UInt64.max / 2 + 9)
    let frames = try #require(sites[0]["frames"] as? [[String: Any]])
    #expect(frames[1]["function"] as? String == "outer;\u{1b}\"x\\")
    #expect(frames[2]["function"] is NSNull)
    #expect(frames[0]["inlined"] as? Bool == true)
  }

  @Test("an infinite number becomes null, not broken JSON")
  func infinite() throws {
    var profile = sample()
    profile.sites[0].growthBytesPerSecond = .infinity
    profile.capture.seconds = .nan
    _ = try JSONSerialization.jsonObject(with: Data(JSONReport.render(profile).utf8))
  }

  @Test("folded stacks: root first, separators cleaned, equal stacks added")
  func folded() {
    var profile = sample()
    profile.sites.append(profile.sites[0])
    let lines = FoldedReport.render(profile).split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.contains("app-42;libz.so.1+0x20 (build id cd34);outer:?\"x\\;inner 4096"))
    #expect(lines.contains("app-42;(no room for this stack) 1024"))
  }

  @Test("pprof: sample types in Go's order, inlined frames in one location")
  func pprof() throws {
    var builder = PprofBuilder()
    for site in sample().sites { builder.add(site) }
    let message = builder.finish(sample())
    let strings = message.stringTable
    #expect(strings[0].isEmpty)
    #expect(
      message.sampleType.map { strings[Int($0.type)] + "/" + strings[Int($0.unit)] } == [
        "alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes",
      ])
    #expect(message.sample[0].value == [6, 6000, 2, 2048])
    #expect(message.sample[1].value[1] == Int64.max, "clamped")
    #expect(message.location.count == 3)
    #expect(message.location[0].line.count == 2)
    #expect(message.mapping.map { strings[Int($0.buildID)] } == ["ab12", "cd34"])
    let bytes = try PprofReport.render(sample())
    #expect(bytes.prefix(2) == [0x1f, 0x8b])
    #expect(try PprofReport.render(sample()) == bytes, "the same profile gives the same bytes")
  }

  @Test("an empty profile renders in every format")
  func empty() throws {
    var profile = sample()
    profile.sites = []
    #expect(TextReport.render(profile).contains("Nothing that was allocated"))
    #expect(FoldedReport.render(profile).isEmpty)
    _ = try JSONSerialization.jsonObject(with: Data(JSONReport.render(profile).utf8))
    #expect(!(try PprofReport.render(profile)).isEmpty)
  }
}

import Foundation
import Profile
import Testing

@testable import Reports

@Suite("JSON report")
struct JSONReportTests {
  private func parse(_ profile: HeapProfile) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: Data(JSONReport.render(profile).utf8))
    return try #require(object as? [String: Any])
  }

  private func dictionary(_ object: [String: Any], _ key: String) throws -> [String: Any] {
    try #require(object[key] as? [String: Any])
  }

  private func list(_ object: [String: Any], _ key: String) throws -> [[String: Any]] {
    try #require(object[key] as? [[String: Any]])
  }

  @Test("the promised fields, in their order")
  func keys() {
    let text = JSONReport.render(Sample.profile(sites: [Sample.cut]))
    let names = text.matches(of: #/"([a-z_]+)": /#).map { String($0.1) }
    let frame = ["function", "module", "build_id", "offset", "file", "line", "inlined"]
    #expect(
      names == [
        "drip", "capture", "start", "start_unix_ns", "seconds", "kernel", "backend", "ended", "filters",
        "one_trap", "notes", "processes",
        "pid", "start_ticks", "command", "executable", "state", "totals", "outstanding_bytes",
        "outstanding_count",
        "allocs",
        "frees", "allocated_bytes", "losses", "total",
      ] + LossKind.allCases.map(\.rawValue) + [
        "stack_checks", "tables", "live", "live_capacity", "sites", "site_capacity", "bytes", "stacks",
        "depth",
        "complete", "truncated", "unreadable", "broken", "unmapped", "missing", "omitted", "sites",
        "outstanding_bytes",
        "outstanding_count", "filtered", "sites", "outstanding_bytes", "outstanding_count", "folded",
        "frames",
        "merged_sites", "sites", "pid", "outstanding_bytes", "outstanding_count", "allocs", "frees",
        "allocated_bytes", "oldest_seconds", "growth_bytes_per_second", "sampled_objects",
        "outstanding_bytes_error", "outstanding_count_error", "stack_end", "frames",
      ] + frame + frame + ["reachability", "verdict", "mapped"])
  }

  @Test("a general parser reads it back")
  func values() throws {
    let object = try parse(Sample.profile(ended: "interrupted", filters: ["a"], omitted: (3, 2048, 7)))
    #expect(object["drip"] as? String == "0.1.0")
    let capture = try dictionary(object, "capture")
    #expect(capture["start"] as? String == "2023-11-14T22:13:20.123Z")
    #expect(capture["start_unix_ns"] as? Int64 == 1_700_000_000_123_456_789)
    #expect(capture["seconds"] as? Double == 10)
    #expect(capture["ended"] as? String == "interrupted")
    #expect(capture["filters"] as? [String] == ["a"])
    let process = try #require(try list(object, "processes").first)
    #expect(process["start_ticks"] as? UInt64 == 987)
    #expect(process["executable"] as? String == Sample.server)
    #expect(try dictionary(object, "totals")["allocated_bytes"] as? UInt64 == 10_485_760)
    #expect(try dictionary(object, "tables")["site_capacity"] as? UInt64 == 32_768)
    #expect(
      try dictionary(object, "stacks") as? [String: Int] == [
        "depth": 64, "complete": 1118, "truncated": 3, "unreadable": 1, "broken": 0, "unmapped": 0,
        "missing": 0,
      ])
    #expect(try dictionary(object, "omitted")["outstanding_bytes"] as? UInt64 == 2048)
    let losses = try dictionary(object, "losses")
    #expect(losses["total"] as? UInt64 == 0)
    #expect(losses["unmatched_frees"] as? UInt64 == 17)
    #expect(losses.count == LossKind.allCases.count + 1)
  }

  @Test("sites and frames, with null for what is not known")
  func sites() throws {
    let sites = try list(try parse(Sample.profile()), "sites")
    #expect(sites.count == 2)
    #expect(sites[0]["outstanding_bytes"] as? UInt64 == 1_310_720)
    #expect(sites[0]["oldest_seconds"] as? Double == 9.8)
    #expect(sites[0]["growth_bytes_per_second"] as? Double == 122_880)
    #expect(sites[1]["growth_bytes_per_second"] is NSNull)
    #expect(sites[1]["stack_end"] as? String == "truncated")
    let frames = try list(sites[0], "frames")
    #expect(frames.map { $0["function"] as? String } == ["strdup", "copy_field", "parse_request", "main"])
    #expect(frames.map { $0["inlined"] as? Bool } == [false, true, false, false])
    #expect(frames[2]["line"] as? Int == 42)
    #expect(frames[0]["file"] is NSNull)
    let unnamed = try list(sites[1], "frames")[0]
    #expect(unnamed["function"] is NSNull)
    #expect(unnamed["offset"] as? UInt64 == 0x1a2b)
    #expect(unnamed["build_id"] as? String == "abcd1234")
  }

  @Test("every frame stands on a line of its own")
  func layout() {
    let lines = JSONReport.render(Sample.profile()).split(separator: "\n")
    #expect(lines.count { $0.contains("\"function\"") && $0.contains("\"inlined\"") } == 6)
  }

  @Test("every stack end has its word", arguments: StackEnd.allCases)
  func ends(end: StackEnd) throws {
    var site = Sample.request
    site.stackEnd = end
    #expect(
      try list(try parse(Sample.profile(sites: [site])), "sites")[0]["stack_end"] as? String == end.rawValue)
  }

  @Test("integers are exact to 64 bits; what is no number becomes null")
  func huge() throws {
    let text = JSONReport.render(Sample.huge)
    #expect(text.contains("\"outstanding_bytes\": 9223372036854775808,"))
    #expect(text.contains("\"allocs\": 18446744073709551615,"))
    let object = try parse(Sample.huge)
    #expect(try dictionary(object, "capture")["seconds"] is NSNull)
    let site = try list(object, "sites")[0]
    #expect(site["oldest_seconds"] is NSNull)
    #expect(site["growth_bytes_per_second"] is NSNull)
    #expect(site["allocs"] as? UInt64 == .max)
  }

  @Test("hostile names come back unchanged, and no control character is left raw")
  func hostile() throws {
    let text = JSONReport.render(Sample.hostile)
    #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 })
    let object = try parse(Sample.hostile)
    #expect(try list(object, "processes")[0]["command"] as? String == Sample.hostileName)
    let frame = try list(try list(object, "sites")[0], "frames")[0]
    #expect(frame["function"] as? String == Sample.hostileName)
  }

  @Test("an empty profile has every field")
  func empty() throws {
    let object = try parse(Sample.empty)
    #expect(try list(object, "sites").isEmpty)
    #expect(try list(object, "processes").isEmpty)
    #expect(try dictionary(object, "capture")["ended"] is NSNull)
    #expect(try dictionary(object, "losses").count == LossKind.allCases.count + 1)
  }

  @Test(
    "dates",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
      (1_735_689_599_999_999_999, "2024-12-31T23:59:59.999Z"), (-1, "1969-12-31T23:59:59.999Z"),
      (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000Z"), (Int64.max, "2262-04-11T23:47:16.854Z"),
    ] as [(Int64, String)])
  func dates(nanoseconds: Int64, text: String) {
    #expect(Timestamp.rfc3339(unixNanoseconds: nanoseconds) == text)
  }
}

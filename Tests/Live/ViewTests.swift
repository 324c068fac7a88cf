import Foundation
import Testing

/// What of the stacks a report shows, and what it says of the rest.
@Suite("views", .enabled(if: canRunLive), .serialized)
struct ViewTests {
  /// 50 objects of 1000 bytes from one site, and the dump of it with these options.
  private func dump(_ options: [String]) throws -> [String: Any] {
    let program = try Child(DripBinary.workload("one_site"), ["50", "1000"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json"] + options)
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
  }

  private func counts(_ root: [String: Any], _ name: String) throws -> [String: Int] {
    try #require(root[name] as? [String: Int])
  }

  private func stacks(_ root: [String: Any]) throws -> [(end: String, functions: [String], modules: [String])]
  {
    try #require(root["sites"] as? [[String: Any]]).map { site in
      let frames = site["frames"] as? [[String: Any]] ?? []
      return (
        site["stack_end"] as? String ?? "", frames.compactMap { $0["function"] as? String },
        frames.compactMap { $0["module"] as? String }
      )
    }
  }

  @Test("stacks deeper than --depth are cut, counted and said to be")
  func depth() throws {
    let whole = try dump([])
    #expect(try counts(whole, "stacks")["depth"] == 256)
    #expect(try counts(whole, "stacks")["truncated"] == 0)
    #expect((try counts(whole, "stacks")["complete"] ?? 0) > 0)
    #expect(try stacks(whole).contains { $0.functions.contains("main") })
    let cut = try dump(["--depth", "1"])
    let ends = try counts(cut, "stacks")
    #expect(ends["depth"] == 1)
    #expect((ends["truncated"] ?? 0) > 0)
    #expect(ends["truncated"] == (try stacks(cut).count { $0.end == "truncated" }))
    #expect(try stacks(cut).allSatisfy { !$0.functions.contains("main") })
  }

  /// Frames called `descend` in the deepest stack of a program that goes so deep.
  private func descents(
    of depth: Int, _ options: [String], program name: String = "pairs"
  ) throws -> (count: Int, end: String, frames: Int) {
    let program = try Child(DripBinary.workload(name), ["100", "1", "\(depth)"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json"] + options)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    let root = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    let stacks = try stacks(try #require(root))
    let deepest = try #require(stacks.max { $0.modules.count < $1.modules.count })
    return (deepest.functions.count { $0 == "descend" }, deepest.end, deepest.modules.count)
  }

  @Test(
    "whole stacks through code that only .debug_frame, only .sframe or only its frame pointers tell about",
    arguments: ["pairs_debug_frame", "pairs_sframe", "pairs_frame_pointers"])
  func sources(program: String) throws {
    let found = try descents(of: 40, [], program: program)
    #expect(found.count == 41)
    #expect(found.frames > 41)
    #expect(found.end == "complete")
  }

  @Test(
    "deep stacks are whole: 240 calls by default, 490 when asked for; deeper ones are cut where --depth says")
  func deep() throws {
    let usual = try descents(of: 240, [])
    #expect(usual.count == 241)
    #expect(usual.end == "complete")
    let deep = try descents(of: 490, ["--depth", "512"])
    #expect(deep.count == 491)
    #expect(deep.end == "complete")
    let cut = try descents(of: 3000, ["--depth", "512"])
    #expect(cut.frames == 512)
    #expect(cut.end == "truncated")
  }

  @Test("--no-libc leaves the program's own frames, and no byte is lost by it")
  func noLibc() throws {
    let whole = try dump([])
    #expect(try stacks(whole).contains { $0.modules.contains { $0.contains("libc.so") } })
    let folded = try dump(["--no-libc"])
    let own = try stacks(folded).filter { $0.functions.contains("main") }
    #expect(!own.isEmpty)
    #expect(own.allSatisfy { !$0.modules.contains { $0.contains("libc.so") } })
    #expect((try counts(folded, "folded")["frames"] ?? 0) > 0)
    #expect(try counts(folded, "totals")["outstanding_bytes"] == counts(whole, "totals")["outstanding_bytes"])
    let sites = try #require(folded["sites"] as? [[String: Any]])
    #expect(
      sites.reduce(0) { $0 + ($1["outstanding_bytes"] as? Int ?? 0) }
        == (try counts(folded, "totals")["outstanding_bytes"]))
  }

  @Test("--focus and --ignore divide the call sites; what is left out is counted")
  func filters() throws {
    let focused = try dump(["--focus", "^main$"])
    #expect(try stacks(focused).allSatisfy { $0.functions.contains("main") })
    #expect(try counts(focused, "totals")["outstanding_bytes"] != 0)
    let ignored = try dump(["--ignore", "^main$"])
    #expect(try stacks(ignored).allSatisfy { !$0.functions.contains("main") })
    let left = try counts(ignored, "filtered")
    #expect((left["sites"] ?? 0) >= 1)
    #expect((left["outstanding_bytes"] ?? 0) >= 50_000)
  }

  @Test("an expression that is none is wrong usage")
  func wrongExpression() throws {
    let result = try DripBinary.run("dump", "-p", "1", "--focus", "(")
    #expect(result.status == 2)
    #expect(result.errors.contains("--focus"))
  }
}

import Foundation
import Testing

/// Verdicts as the command gives them.
@Suite("verdicts of dump", .enabled(if: canRunLive), .serialized)
struct FailOnTests {
  /// What a dump of these behaviours says, and its exit code.
  private func dump(_ behaviours: String, _ options: [String]) throws -> (
    status: Int32, sites: [[String: Any]]
  ) {
    let program = try Child(DripBinary.workload("behaviours"), [behaviours, "--seconds", "120"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(["dump", "-p", "\(program.pid)", "--format", "json"] + options)
    program.send("GO")
    let result = drip.finish()
    let root = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    return (result.status, try #require(root?["sites"] as? [[String: Any]]))
  }

  private func level(_ sites: [[String: Any]], _ function: String) throws -> String {
    let site = try #require(
      sites.first { site in
        (site["frames"] as? [[String: Any]] ?? []).contains { $0["function"] as? String == function }
      })
    let verdict = try #require(site["verdict"] as? [String: Any])
    return try #require(verdict["level"] as? String)
  }

  @Test("a leak is proved by a search within half a minute, a cache beside it is not accused; exit code 1")
  func proof() throws {
    let found = try dump(
      "steady_leak,lru", ["--duration", "25s", "--confirm", "--fail-on", "leak"])
    #expect(try level(found.sites, "site_steady_leak") == "leak")
    #expect(try level(found.sites, "site_lru") != "leak")
    #expect(try level(found.sites, "site_lru") != "likely")
    #expect(found.status == 1)
  }

  @Test(
    "a suspect is searched for unasked where one short stop suffices, and not if nobody may stop the process")
  func unasked() throws {
    let found = try dump("steady_leak", ["--duration", "60s", "--fail-on", "leak"])
    #expect(try level(found.sites, "site_steady_leak") == "leak")
    #expect(found.status == 1)
    let left = try dump("steady_leak", ["--duration", "60s", "--fail-on", "leak", "--auto-stop", "0"])
    #expect(try level(left.sites, "site_steady_leak") == "watch")
    #expect(left.status == 0)
  }

  @Test("without proof a short watch accuses nobody; exit code 0")
  func patience() throws {
    let found = try dump("steady_leak", ["--duration", "5s", "--fail-on", "likely"])
    #expect(try level(found.sites, "site_steady_leak") == "warming up")
    #expect(found.status == 0)
  }
}

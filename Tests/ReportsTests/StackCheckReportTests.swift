import Foundation
import Profile
import Testing

@testable import Reports

@Suite("stack checks in reports")
struct StackCheckReportTests {
  private var profile: HeapProfile {
    var checks = StackChecks()
    for _ in 0..<19_999 { checks.add(.agrees, end: .complete) }
    checks.add(.differs(at: 2), end: .broken)
    checks.add(.notComparable(.noRules), end: .truncated)
    checks.dropped = 1234
    var profile = Sample.profile()
    profile.checks = checks
    return profile
  }

  private let words =
    "19,999 of 20,000 stacks are the same by libdwfl (99.99 %); 99.99 % reach the root; 1 not comparable; 1,234 not looked at"

  @Test("in the footer, rounded so that one difference is never 100 %")
  func text() {
    #expect(TextReport.render(profile).contains("\nchecks       \(words)\n"))
    #expect(!TextReport.render(Sample.profile()).contains("checks"))
  }

  @Test("in the JSON, null where there is none")
  func json() throws {
    let data = Data(JSONReport.render(profile).utf8)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let checks = try #require(object["stack_checks"] as? [String: Any])
    let reasons = try #require(checks["not_comparable_reasons"] as? [String: UInt64])
    #expect(Set(reasons.keys).count == 5 && reasons["no_rules"] == 1 && reasons["copy_ended"] == 0)
    #expect(
      checks.compactMapValues { $0 as? UInt64 } == [
        "checked": 20_001, "agreed": 19_999, "disagreed": 1, "not_comparable": 1, "dropped": 1234,
        "complete": 19_999, "truncated": 1,
      ])
    #expect(JSONReport.render(Sample.profile()).contains("\"stack_checks\": null"))
  }

  @Test("in pprof's comments")
  func pprof() {
    var builder = PprofBuilder()
    let message = builder.finish(profile)
    let comments = message.comment.map { message.stringTable[Int($0)] }
    #expect(comments.contains("stack checks: \(words)"))
  }

  @Test("nothing comparable is no share")
  func nothing() {
    var checks = StackChecks()
    checks.add(.notComparable(.copyEnded), end: .complete)
    #expect(checks.summary == "none of 1 stack looked at was comparable")
  }
}

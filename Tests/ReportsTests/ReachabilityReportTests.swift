import Foundation
import LeakDetection
import Profile
import Testing

@testable import Reports

@Suite("what a search for lost objects has found, in reports")
struct ReachabilityReportTests {
  private let held = Reachability(
    inspected: 40, unreachable: 0, reachable: 40, exampleHolder: "`cache` in server", onlyFromUnknownHeap: 3,
    holder: Reachability.Holder(kind: .data, name: "cache", module: "/usr/bin/server"), stoppedSeconds: 0.25,
    scannedBytes: 4096)
  private let lost = Reachability(inspected: 256, unreachable: 200, onlyFromSuspects: 56, reachable: 0)

  @Test("sentences say what was found and no more")
  func sentences() {
    #expect(
      lost.sentence
        == "256 of 256 inspected objects are unreachable (56 held only by objects that nothing leads to)")
    #expect(
      held.sentence
        == "all 40 inspected objects are reachable: held by `cache` in server; 3 only from heap memory that drip does not know"
    )
    let part = Reachability(
      inspected: 2, unreachable: 1, reachable: 1, exampleHolder: "the stack of thread 7")
    #expect(
      part.sentence
        == "1 of 2 inspected objects are unreachable; the rest is reachable, held by the stack of thread 7")
    #expect(
      Reachability(inspected: 0, unreachable: 0, reachable: 0).sentence
        == "none of its objects lived long enough to be inspected")
    let unknown = Reachability(inspected: 5, unreachable: 0, reachable: 5, onlyFromUnknownHeap: 5)
    #expect(
      unknown.sentence
        == "all 5 inspected objects are reachable: held only from heap memory that drip does not know")
  }

  @Test("a holder is named by its variable, or by its site and where the way to it begins")
  func holders() {
    #expect(held.holder?.text == "`cache` in server")
    let object = Reachability.Holder(
      kind: .object, name: "insert (cache.c:12)", root: .init(kind: .stack, thread: 12))
    #expect(object.text == "an object from insert (cache.c:12), reached from the stack of thread 12")
  }

  @Test("sites that are shown as one have their objects added up")
  func combined() {
    let both = Reachability.combined([held, lost])
    #expect(both?.inspected == 296 && both?.unreachable == 200 && both?.onlyFromSuspects == 56)
    #expect(both?.reachable == 40 && both?.holder == held.holder)
    #expect(Reachability.combined([]) == nil)
  }

  @Test("text and JSON show it at its site, and null where nothing was inspected")
  func reports() throws {
    var profile = Sample.profile()
    profile.sites[0].ids = [5, 6]
    let text = TextReport.render(profile, judged: SiteJudgements(reachability: [6: lost]))
    #expect(text.contains("256 of 256 inspected objects are unreachable"))
    let json = JSONReport.render(profile, judged: SiteJudgements(reachability: [5: held]))
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    let sites = try #require(object["sites"] as? [[String: Any]])
    let found = try #require(sites[0]["reachability"] as? [String: Any])
    #expect(found["inspected"] as? Int == 40 && found["only_from_unknown_heap"] as? Int == 3)
    #expect(found["stopped"] as? Bool == true && found["stopped_seconds"] as? Double == 0.25)
    let holder = try #require(found["holder"] as? [String: Any])
    #expect(holder["kind"] as? String == "data" && holder["module"] as? String == "/usr/bin/server")
    #expect(holder["root"] is NSNull && holder["text"] as? String == "`cache` in server")
    #expect(sites[1]["reachability"] is NSNull)
  }
}

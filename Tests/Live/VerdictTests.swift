import Capture
import Foundation
import LeakDetection
import Profile
import Testing

/// Verdicts on real allocations seen by real probes: the behaviours, with their time compressed.
/// DRIP_VERDICT_RUNS sets how often.
@Suite("verdicts on behaviours", .enabled(if: canRunLive), .serialized)
struct VerdictTests {
  static let runs = Int(ProcessInfo.processInfo.environment["DRIP_VERDICT_RUNS"] ?? "") ?? 1

  @Test(
    "after an hour leaks are leak or likely and innocents are neither; lost objects are proof",
    arguments: 1...runs)
  func hour(seed: Int) async throws {
    let watch = try await BehaviourWatch.run(seed: seed, speed: 120, seconds: 3600, holding: 300)
    let alone = try await watch.verdicts()
    #expect(try watch.replayed().verdicts() == watch.detector.verdicts(), "from a recording")
    let confirmed = try await watch.verdicts(try await watch.search())
    let truth = await watch.truth()
    #expect(truth.count >= 25)
    for site in truth {
      let level = try #require(alone[site.name], "\(site.name) was not seen").level
      #expect((level >= .likely) == site.isLeak, "\(site.name) is \(level.rawValue), seed \(seed)")
      let isProved = try Self.expect(confirmed[site.name], site, "seed \(seed)")
      #expect(isProved == (site.lost > 0), "\(site.name), seed \(seed)")
      #expect(
        try #require(confirmed[site.name]).level >= .likely || !site.isLeak, "\(site.name), seed \(seed)")
    }
  }

  @Test(
    "after ten minutes, with a search of memory, what has lost over thirty objects is a leak, and no innocent is likely",
    arguments: 1...runs, [120.0, 400])
  func tenMinutes(seed: Int, holding: Double) async throws {
    let watch = try await BehaviourWatch.run(seed: seed, speed: 60, seconds: 600, holding: holding)
    let verdicts = try await watch.verdicts(try await watch.search())
    let truth = await watch.truth()
    #expect(truth.count >= 25)
    var proved = 0
    for site in truth where try Self.expect(verdicts[site.name], site, "holding \(holding), seed \(seed)") {
      proved += 1
    }
    print("verdicts: \(proved) sites with over 30 lost objects are leaks, holding \(holding), seed \(seed)")
    // With the longer holding time one leak begins later, and others are slow.
    #expect(proved >= 5)
  }

  /// Polls every five seconds of the program's time, of which `speed` pass in one, until it has been watched for
  /// `seconds`. `record` is told what the detector is.
  static func watch(
    _ capture: LiveCapture, speed: Double, seconds: Double, record: (Snapshot) -> Void = { _ in }
  ) async throws -> (Detector, Snapshot) {
    var detector = Detector()
    while true {
      try await Task.sleep(for: .seconds(5 / speed))
      var snapshot = try await capture.snapshot(cohorts: true)
      snapshot.elapsedSeconds *= speed
      snapshot.cohorts?.width *= speed
      detector.add(snapshot)
      record(snapshot)
      if detector.now >= seconds { return (detector, snapshot) }
    }
  }

  /// With a search: lost objects prove a leak; of what the program still holds, statistics alone can speak. Whether it was
  /// a leak that had to be proved, and was.
  private static func expect(_ verdict: Verdict?, _ site: BehaviourTruth, _ run: String) throws -> Bool {
    let verdict = try #require(verdict, "\(site.name) was not seen, \(run)")
    let words = "\(site.name) (\(site.lost) lost): \(verdict.words), \(verdict.evidence), \(run)"
    let found = verdict.evidence.reachability?.lost ?? 0
    if site.lost == 0 { #expect(found == 0, "\(words)") }
    if !site.isLeak { #expect(verdict.level < .likely, "\(words)") }
    // The truth is told a moment later: what was not outstanding yet was not lost yet.
    guard site.lost > 30, verdict.evidence.outstandingCount > 30 else { return false }
    #expect(verdict.level == .leak, "\(words)")
    #expect(found > 0, "\(words)")
    return verdict.level == .leak
  }
}

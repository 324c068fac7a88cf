import DetectionLab
import LeakDetection
import Profile

/// What was said of both twins of a matched pair, at one multiple of the time at which they part.
struct PairJudgement: Sendable {
  var kind: MatchedPair.Kind
  /// Seconds at which they part.
  var parting: Double
  /// Times the parting.
  var multiple: Double
  var innocent: Verdict
  var leak: Verdict
}

/// Watches both twins, each by a detector of its own. Both allocate from the first second on, so there is a verdict on
/// each at every time.
enum PairRun {
  static let multiples = [0.5, 0.9, 1.25, 1.5, 2, 3]
  static let partings = [300.0, 600, 1200]

  static func run(seed: UInt64, kind: MatchedPair.Kind, parting: Double) -> [PairJudgement] {
    let pair = MatchedPair(seed: seed, kind: kind, parting: parting)
    let innocent = verdicts(pair.innocent, parting)
    let leak = verdicts(pair.leak, parting)
    return zip(multiples, zip(innocent, leak)).map { multiple, both in
      PairJudgement(kind: kind, parting: parting, multiple: multiple, innocent: both.0, leak: both.1)
    }
  }

  private static func verdicts(_ service: Service, _ parting: Double) -> [Verdict] {
    var service = service
    var detector = Detector()
    var result: [Verdict] = []
    var due = multiples.map { $0 * parting }
    service.run(seconds: (multiples.last ?? 0) * parting + 10) { snapshot, _ in
      detector.add(snapshot)
      guard let next = due.first, snapshot.elapsedSeconds >= next else { return }
      due.removeFirst()
      if let verdict = detector.verdicts()[0] { result.append(verdict) }
    }
    return result
  }
}

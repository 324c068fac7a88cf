import DetectionLab
import LeakDetection

/// The times at which everything is judged, in minutes.
let checkpoints = [2, 10, 20, 60]

/// A detector of the table.
enum Method: Hashable, CaseIterable {
  case drip(Verdict.Level)
  /// leak or likely
  case suspicion
  case topByAge, difference, regression, mannKendall

  static let allCases: [Method] = [
    .drip(.leak), .drip(.likely), .suspicion, .drip(.watch), .topByAge, .difference, .regression,
    .mannKendall,
  ]
  static let baselines: [Method] = [.topByAge, .difference, .regression, .mannKendall]

  var name: String {
    switch self {
    case .drip(let level): "drip: \(level.rawValue)"
    case .suspicion: "drip: leak + likely"
    case .topByAge: "top 10 by age (bcc)"
    case .difference: "difference of two snapshots, top 10"
    case .regression: "linear regression"
    case .mannKendall: "Mann–Kendall"
    }
  }
}

/// What was said of one site at one time, and what is true.
struct Judgement: Sendable {
  enum Truth: Sendable {
    case innocent
    case leaking
    /// A leak of less than 4 KiB an hour: neither to be found nor to be blamed.
    case trifle
  }

  var kind: BehaviourKind
  var holding: Double
  var truth: Truth
  var lostObjects: Int
  var lostBytes: Int
  var level: Verdict.Level
  var evidence: (rate: Double, low: Double, high: Double)?
  var trueRate: Double
  /// Its place in drip's order, 0 first; nil below `watch`.
  var rank: Int?
  /// Its place in the top tens.
  var ageRank: Int?
  var differenceRank: Int?
  var slope: Double
  var rSquared: Double
  var z: Double
}

/// One service, watched for an hour.
struct ServiceOutcome: Sendable {
  /// By checkpoint, by site.
  var judgements: [[Judgement]] = []
  var hasLeaks = false
  /// Sites that were called leak or likely at any minute while they had lost nothing.
  var falseLeaks: [FalseCall] = []
  var falseLikely: [FalseCall] = []
  /// Minutes from the first loss until leak or likely is said and stays, by leaking site; nil if never.
  var delays: [(kind: BehaviourKind, minutes: Int?)] = []

  struct FalseCall: Sendable {
    var kind: BehaviourKind
    var holding: Double
  }
}

/// The thresholds of the baselines that need one; chosen on the development set.
struct Thresholds: Sendable {
  var rSquared = 0.99
  var z = 6.0
}

extension Judgement {
  func isFlagged(_ method: Method, _ thresholds: Thresholds) -> Bool {
    switch method {
    case .drip(let level): self.level == level
    case .suspicion: level >= .likely
    case .topByAge: ageRank != nil
    case .difference: differenceRank != nil
    case .regression: slope > 0 && rSquared >= thresholds.rSquared
    case .mannKendall: slope > 0 && z >= thresholds.z
    }
  }
}

import DetectionLab
import LeakDetection
import Profile

/// A population of services with its outcomes.
struct Population: Sendable {
  enum Name: String, Sendable, CaseIterable {
    case developmentTypical = "development, typical mix"
    case developmentAdversarial = "development, adversarial mix"
    case heldOutTypical = "held out, typical mix"
    case heldOutAdversarial = "held out, adversarial mix"
    case longTypical = "held out, holding times of up to 40 minutes"
    case sampled64 = "held out, typical mix, sampled every 64 KiB"
    case sampled512 = "held out, typical mix, sampled every 512 KiB"

    var mix: Service.Mix {
      self == .developmentAdversarial || self == .heldOutAdversarial ? .adversarial : .typical
    }

    var parameters: ParameterSet {
      switch self {
      case .developmentTypical, .developmentAdversarial: .development
      case .longTypical: .heldOutLong
      default: .heldOut
      }
    }

    /// How many services, of `services` asked for. The two held-out sets that the goals are about are three times as
    /// large, since their proportions are what matters most; the first third of each is what earlier reports had.
    func count(of services: Int) -> Int {
      switch self {
      case .heldOutTypical, .heldOutAdversarial: services * Self.heldOutFactor
      case .sampled64, .sampled512: services / 2
      case .developmentTypical, .developmentAdversarial, .longTypical: services
      }
    }

    static let heldOutFactor = 3

    /// Mean bytes between samples; 0 for all.
    var distance: UInt64 {
      switch self {
      case .sampled64: 64 << 10
      case .sampled512: 512 << 10
      default: 0
      }
    }

    /// Seeds of a population are its own; the sampled ones watch the same services as the typical one.
    var seed: UInt64 {
      switch self {
      case .developmentTypical: 0x11
      case .developmentAdversarial: 0x22
      case .heldOutTypical, .sampled64, .sampled512: 0xa3
      case .heldOutAdversarial: 0xa4
      case .longTypical: 0xa5
      }
    }
  }

  var name: Name
  var outcomes: [ServiceOutcome]
}

/// Everything that the report is made of.
struct Evaluation: Sendable {
  var populations: [Population] = []
  var pairs: [PairJudgement] = []
  var thresholds = Thresholds()
  /// Services of a population, see `Population.Name.count`.
  let services: Int
  /// Pairs of each kind and time.
  let pairSeeds: Int

  /// Runs all on as many threads as there are cores. The result depends on the seeds alone.
  static func run(services: Int, pairSeeds: Int) async -> Evaluation {
    var evaluation = Evaluation(services: services, pairSeeds: pairSeeds)
    for name in Population.Name.allCases {
      let count = name.count(of: services)
      let sampling = ByteSampling(distance: name.distance) ?? .everything
      let outcomes = await all(count) { index in
        var run = ServiceRun(
          seed: name.seed << 32, index: index, mix: name.mix, parameters: name.parameters, sampling: sampling)
        return run.run()
      }
      evaluation.populations.append(Population(name: name, outcomes: outcomes))
      progress("\(name.rawValue): \(count) services")
    }
    let pairs = MatchedPair.Kind.allCases.flatMap { kind in
      PairRun.partings.flatMap { parting in
        (0..<pairSeeds).map { (kind: kind, parting: parting, seed: 0x66 << 32 + UInt64($0)) }
      }
    }
    evaluation.pairs = await all(pairs.count) {
      PairRun.run(seed: pairs[$0].seed, kind: pairs[$0].kind, parting: pairs[$0].parting)
    }.flatMap { $0 }
    progress("matched pairs: \(pairs.count)")
    evaluation.tune()
    return evaluation
  }

  private static func all<Result: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) -> Result
  ) async -> [Result] {
    await withTaskGroup(of: (Int, Result).self) { group in
      for index in 0..<count { group.addTask { (index, body(index)) } }
      var results: [Int: Result] = [:]
      for await (index, result) in group { results[index] = result }
      return (0..<count).compactMap { results[$0] }
    }
  }

  func outcomes(_ name: Population.Name) -> [ServiceOutcome] {
    populations.first { $0.name == name }?.outcomes ?? []
  }

  /// The thresholds of the baselines with the best mean F1 on the development set at 10, 20 and 60 minutes.
  private mutating func tune() {
    let services = outcomes(.developmentTypical) + outcomes(.developmentAdversarial)
    func quality(_ method: Method, _ thresholds: Thresholds) -> Double {
      (1..<checkpoints.count).reduce(0) { $0 + Score(services, at: $1, method, thresholds).f1 }
    }
    var best = (-1.0, -1.0)
    for value in [0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999] {
      let score = quality(.regression, Thresholds(rSquared: value))
      if score > best.0 { (best.0, thresholds.rSquared) = (score, value) }
    }
    for value in [1.96, 3, 5, 7, 8, 9, 10, 10.5, 11, 11.5] {
      let score = quality(.mannKendall, Thresholds(z: value))
      if score > best.1 { (best.1, thresholds.z) = (score, value) }
    }
  }
}

/// How one method did over services at one checkpoint.
struct Score {
  /// Of what was flagged, the share that leaks; of what leaks, the share that was flagged.
  var precision = Proportion()
  var recall = Proportion()
  /// Of services in which something leaks, those in which it came first.
  var first = Proportion()

  init(_ services: [ServiceOutcome], at checkpoint: Int, _ method: Method, _ thresholds: Thresholds) {
    for service in services where checkpoint < service.judgements.count {
      let judged = service.judgements[checkpoint].filter { $0.truth != .trifle }
      for judgement in judged {
        let isFlagged = judgement.isFlagged(method, thresholds)
        if isFlagged { precision.count(judgement.truth == .leaking) }
        if judgement.truth == .leaking { recall.count(isFlagged) }
      }
      guard judged.contains(where: { $0.truth == .leaking }) else { continue }
      first.count(Self.top(judged, method, thresholds)?.truth == .leaking)
    }
  }

  var f1: Double {
    guard let p = precision.value, let r = recall.value, p + r > 0 else { return 0 }
    return 2 * p * r / (p + r)
  }

  /// What the method would show first.
  private static func top(
    _ judged: [Judgement], _ method: Method, _ thresholds: Thresholds
  ) -> Judgement? {
    switch method {
    case .drip, .suspicion: judged.filter { $0.rank != nil }.min { ($0.rank ?? 0) < ($1.rank ?? 0) }
    case .topByAge: judged.filter { $0.ageRank != nil }.min { ($0.ageRank ?? 0) < ($1.ageRank ?? 0) }
    case .difference:
      judged.filter { $0.differenceRank != nil }.min { ($0.differenceRank ?? 0) < ($1.differenceRank ?? 0) }
    case .regression, .mannKendall:
      judged.filter { $0.isFlagged(method, thresholds) }.max { $0.slope < $1.slope }
    }
  }
}

import DetectionLab
import LeakDetection
import Profile

/// Watches one simulated service for an hour with everything that is compared.
struct ServiceRun {
  let seed: UInt64
  let index: Int
  let mix: Service.Mix
  let parameters: ParameterSet
  let sampling: ByteSampling
  let minutes = 60
  /// Below that a leak is a trifle, in bytes per second.
  static let floor = 4096.0 / 3600

  private var detector = Detector()
  private var series: [GrowthSeries] = []
  private var outcome = ServiceOutcome()
  /// Expected losses by site, at the end of each poll.
  private var expected: [GrowthSeries] = []
  private var lossBegan: [Int?] = []
  private var saidSince: [Int?] = []
  private var wasFalselyLeak: Set<UInt32> = []
  private var wasFalselyLikely: Set<UInt32> = []

  init(
    seed: UInt64, index: Int, mix: Service.Mix, parameters: ParameterSet, sampling: ByteSampling = .everything
  ) {
    self.seed = seed
    self.index = index
    self.mix = mix
    self.parameters = parameters
    self.sampling = sampling
  }

  /// Runs it to its end.
  mutating func run() -> ServiceOutcome {
    let seed = seed &+ UInt64(index) &* 1_000_003
    let leaks = Service.leakCount(seed: seed, index: index)
    var service = Service(
      seed: seed, mix: mix, parameters: parameters, leaks: leaks, sampling: sampling)
    let count = service.sites.count
    series = Array(repeating: GrowthSeries(), count: count)
    expected = series
    lossBegan = Array(repeating: nil, count: count)
    saidSince = lossBegan
    outcome.hasLeaks = leaks > 0
    var minute = 1
    service.run(seconds: Double(minutes * 60)) { snapshot, sites in
      add(snapshot, sites)
      if snapshot.elapsedSeconds >= Double(minute * 60) {
        look(minute, snapshot, sites)
        minute += 1
      }
    }
    finish(service.sites)
    return outcome
  }

  private mutating func add(_ snapshot: Snapshot, _ sites: [LabSite]) {
    detector.add(snapshot)
    for counts in snapshot.sites {
      series[Int(counts.id)].append(snapshot.elapsedSeconds, Double(counts.outstandingBytes))
    }
    for site in sites where site.kind.isLeak {
      expected[Int(site.id)].append(snapshot.elapsedSeconds, site.ledger.expectedLostBytes)
    }
  }

  private mutating func look(_ minute: Int, _ snapshot: Snapshot, _ sites: [LabSite]) {
    let verdicts = detector.verdicts()
    for site in sites {
      let id = Int(site.id)
      let level = verdicts[site.id]?.level ?? .steady
      if site.isLeaking {
        lossBegan[id] = lossBegan[id] ?? minute - 1
        saidSince[id] = level >= .likely ? saidSince[id] ?? minute : nil
        continue
      }
      let call = ServiceOutcome.FalseCall(kind: site.kind, holding: site.holding)
      if level == .leak, wasFalselyLeak.insert(site.id).inserted { outcome.falseLeaks.append(call) }
      if level >= .likely, wasFalselyLikely.insert(site.id).inserted { outcome.falseLikely.append(call) }
    }
    if checkpoints.contains(minute) { judge(minute, snapshot, sites, verdicts) }
  }

  private mutating func judge(
    _ minute: Int, _ snapshot: Snapshot, _ sites: [LabSite], _ verdicts: [UInt32: Verdict]
  ) {
    let end = snapshot.elapsedSeconds
    let byAge = places(Baselines.topByAge(snapshot.sites))
    let byDifference = places(
      Baselines.topByDifference(held(at: end / 2, snapshot), held(at: end, snapshot)))
    let order = verdicts.filter { $0.value.level >= .watch }.sorted {
      Verdict.isGraver($0.value, $1.value)
        ? true : Verdict.isGraver($1.value, $0.value) ? false : $0.key < $1.key
    }
    let ranks = places(order.map(\.key))
    let judgements = sites.map { site in
      let id = Int(site.id)
      let points = series[id].points(until: end)
      let line = Baselines.regression(points)
      let growth = verdicts[site.id]?.evidence.growth
      // The detector's rate is of the later half of what is old enough to count.
      let (from, to) = (end * 7 / 16, end * 7 / 8)
      let expected = expected[id]
      return Judgement(
        kind: site.kind, holding: site.holding, truth: truth(site, end), lostObjects: site.ledger.lostObjects,
        lostBytes: site.ledger.lostBytes,
        level: verdicts[site.id]?.level ?? .steady,
        evidence: growth.map { ($0.bytesPerSecond, $0.interval.lowerBound, $0.interval.upperBound) },
        trueRate: (expected.value(at: to) - expected.value(at: from)) / (to - from),
        rank: ranks[site.id], ageRank: byAge[site.id], differenceRank: byDifference[site.id],
        slope: line.slope, rSquared: line.rSquared,
        z: line.slope > 0 ? Baselines.mannKendall(points) : 0)
    }
    outcome.judgements.append(judgements)
  }

  private func truth(_ site: LabSite, _ end: Double) -> Judgement.Truth {
    guard site.isLeaking else { return .innocent }
    return Double(site.ledger.lostBytes) / end >= Self.floor ? .leaking : .trifle
  }

  private func held(at time: Double, _ snapshot: Snapshot) -> [UInt32: Double] {
    Dictionary(
      uniqueKeysWithValues: snapshot.sites.map { ($0.id, series[Int($0.id)].value(at: time)) })
  }

  private func places(_ ids: [UInt32]) -> [UInt32: Int] {
    Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
  }

  private mutating func finish(_ sites: [LabSite]) {
    for site in sites where site.kind.isLeak && truth(site, Double(minutes * 60)) == .leaking {
      guard let began = lossBegan[Int(site.id)] else { continue }
      outcome.delays.append((site.kind, saidSince[Int(site.id)].map { $0 - began }))
    }
  }
}

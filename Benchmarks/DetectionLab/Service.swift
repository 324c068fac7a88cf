public import Profile

/// One simulated call site of a service.
public struct LabSite: Sendable {
  public let id: UInt32
  public let kind: BehaviourKind
  /// Seconds that an innocent site takes to show itself as one; 0 for plain ones and leaks.
  public let holding: Double
  var behaviour: any Behaviour
  var random: RandomSource
  public internal(set) var ledger: Ledger

  init(
    id: UInt32, kind: BehaviourKind, drawn: DrawnBehaviour, random: RandomSource, sampling: ByteSampling
  ) {
    self.id = id
    self.kind = kind
    holding = drawn.holding
    behaviour = drawn.behaviour
    self.random = random
    ledger = Ledger(sampling: sampling)
  }

  mutating func step(_ moment: Moment) {
    ledger.begin(tick: moment.tick)
    behaviour.step(moment, &ledger, &random)
  }

  public init(
    id: UInt32, kind: BehaviourKind, parameters: ParameterSet, seed: UInt64,
    sampling: ByteSampling = .everything
  ) {
    var random = RandomSource(seed: seed)
    let drawn = kind.draw(parameters, &random)
    self.init(id: id, kind: kind, drawn: drawn, random: random, sampling: sampling)
  }

  /// Whether it has lost anything since the attach: a leak that has not begun is none yet.
  public var isLeaking: Bool { ledger.lostObjects > 0 }
}

/// A program of some hundred call sites, as a profiler that attaches to it would see it. The same seed gives the same
/// program, whatever the sampling.
public struct Service: Sendable {
  /// How much of a program is of the kinds that confuse detectors.
  public enum Mix: String, Sendable, CaseIterable {
    /// 70 % churn, 15 % start-up, 10 % slow churn, 5 % nasty.
    case typical
    /// The same with 18 % nasty.
    case adversarial

    var nasty: Double { self == .typical ? 0.05 : 0.18 }
  }

  public private(set) var sites: [LabSite]
  private var load: LoadShape
  private var random: RandomSource
  /// Ticks that the program has run when the profiler attaches.
  private let lead: Int

  /// A service with `leaks` leaking sites among `count`.
  public init(
    seed: UInt64, mix: Mix, parameters: ParameterSet, leaks: Int, count: Int = 300,
    sampling: ByteSampling = .everything
  ) {
    random = RandomSource(seed: seed)
    load = LoadShape(parameters, &random)
    // Half are watched from their start, half in mid-run.
    lead = random.chance(0.5) ? 0 : Int(random.uniform(60, 1800) / Ledger.tick)
    sites = []
    for index in 0..<count {
      let kind =
        index < leaks
        ? BehaviourKind.draw(BehaviourKind.leaks, parameters, &random)
        : Self.innocent(mix, parameters, &random)
      sites.append(
        LabSite(
          id: UInt32(index), kind: kind, parameters: parameters,
          seed: RandomSource(seed: seed, part: UInt64(index)).peek, sampling: sampling))
    }
    // Ids say nothing about the truth.
    var ids = (0..<UInt32(count)).map { $0 }
    ids.shuffle(using: &random)
    sites = zip(sites, ids).map { $0.renamed($1) }.sorted { $0.id < $1.id }
  }

  /// Sites as they are given, under a load.
  init(sites: [LabSite], load: LoadShape, seed: UInt64, lead: Int = 0) {
    self.sites = sites
    self.load = load
    self.lead = lead
    random = RandomSource(seed: seed)
  }

  private static func innocent(
    _ mix: Mix, _ parameters: ParameterSet, _ random: inout RandomSource
  ) -> BehaviourKind {
    let u = random.unit()
    if u < mix.nasty { return BehaviourKind.draw(BehaviourKind.nasty, parameters, &random) }
    let rest = (u - mix.nasty) / (1 - mix.nasty)
    return rest < 0.737 ? .churn : rest < 0.895 ? .startUp : .slowChurn
  }

  /// How many leaks a service has: half have none, the others one to three.
  public static func leakCount(seed: UInt64, index: Int) -> Int {
    guard index % 2 == 0 else { return 0 }
    var random = RandomSource(seed: seed)
    let u = random.unit()
    return u < 0.7 ? 1 : u < 0.9 ? 2 : 3
  }

  /// Lets the program run for `seconds` after the attach and calls `each` at every poll.
  public mutating func run(
    seconds: Double, schedule: PollSchedule = PollSchedule(), each: (Snapshot, [LabSite]) -> Void
  ) {
    let end = Int(seconds / Ledger.tick)
    var polls = schedule
    for tick in -lead..<end {
      advance(tick)
      let elapsed = Double(tick + 1) * Ledger.tick
      if tick >= 0, polls.isDue(elapsed) { each(snapshot(elapsed), sites) }
    }
  }

  private mutating func advance(_ tick: Int) {
    let seconds = Double(tick) * Ledger.tick
    let moment = Moment(
      tick: tick, seconds: seconds, age: Double(tick + lead) * Ledger.tick, load: load.next(seconds, &random))
    for index in sites.indices {
      sites[index].step(moment)
    }
  }

  private func snapshot(_ elapsed: Double) -> Snapshot {
    let width = BirthCohorts.width(elapsed: elapsed, base: Ledger.tick)
    let bins = Int(elapsed / width) + 1
    var counts: [SiteCounts] = []
    var rows: [BirthCohorts.Row] = []
    counts.reserveCapacity(sites.count)
    rows.reserveCapacity(sites.count)
    for site in sites {
      let one = site.ledger.counts(id: site.id)
      if one.allocs > 0 { counts.append(one) }
      if let row = site.ledger.row(id: site.id, bins: bins) { rows.append(row) }
    }
    return Snapshot(
      elapsedSeconds: elapsed, sites: counts, cohorts: BirthCohorts(width: width, bins: bins, rows: rows))
  }
}

extension LabSite {
  func renamed(_ id: UInt32) -> LabSite {
    LabSite(id: id, kind: kind, holding: holding, behaviour: behaviour, random: random, ledger: ledger)
  }

  private init(
    id: UInt32, kind: BehaviourKind, holding: Double, behaviour: any Behaviour, random: RandomSource,
    ledger: Ledger
  ) {
    self.id = id
    self.kind = kind
    self.holding = holding
    self.behaviour = behaviour
    self.random = random
    self.ledger = ledger
  }
}

extension RandomSource {
  /// The next number, of a copy.
  var peek: UInt64 {
    var copy = self
    return copy.next()
  }
}

/// When snapshots are taken: every 5 s in the first ten minutes, every 10 s later.
public struct PollSchedule: Sendable {
  private var next = 5.0

  public init() {}

  mutating func isDue(_ elapsed: Double) -> Bool {
    guard elapsed >= next else { return false }
    next = elapsed + (elapsed < 600 ? 5 : 10)
    return true
  }
}

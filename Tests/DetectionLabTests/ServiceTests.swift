import Profile
import Testing

@testable import DetectionLab

@Suite("simulated services")
struct ServiceTests {
  /// One behaviour alone, under a flat load.
  private func alone(
    _ behaviour: any Behaviour, seconds: Double, lead: Double = 0, sampling: ByteSampling = .everything,
    each: (Snapshot, [LabSite]) -> Void = { _, _ in }
  ) -> (last: Snapshot?, site: LabSite) {
    let site = LabSite(
      id: 0, kind: .steadyLeak, drawn: DrawnBehaviour(behaviour: behaviour), random: RandomSource(seed: 5),
      sampling: sampling)
    var service = Service(
      sites: [site], load: LoadShape(form: .flat, period: 600, amplitude: 0), seed: 9,
      lead: Int(lead / Ledger.tick))
    var last: Snapshot?
    service.run(seconds: seconds) {
      last = $0
      each($0, $1)
    }
    return (last, service.sites[0])
  }

  private func total(_ snapshot: Snapshot?) -> Int {
    snapshot?.cohorts?.rows.first?.objects.reduce(0) { $0 + Int($1) } ?? 0
  }

  @Test(
    "cohorts, counters and truth agree at every poll, for every behaviour", arguments: BehaviourKind.allCases)
  func consistent(kind: BehaviourKind) {
    for (seed, distance) in [(UInt64(1), UInt64(0)), (2, 4096)] {
      let sampling = ByteSampling(distance: distance) ?? .everything
      let drawn = LabSite(id: 0, kind: kind, parameters: .heldOutLong, seed: seed, sampling: sampling)
      var service = Service(
        sites: [drawn], load: LoadShape(form: .cycle, period: 300, amplitude: 0.5), seed: seed, lead: 400)
      service.run(seconds: 1500) { snapshot, sites in
        guard let cohorts = snapshot.cohorts else { return }
        let row = cohorts.rows.first
        let counts = snapshot.sites.first
        #expect(cohorts.width == BirthCohorts.width(elapsed: snapshot.elapsedSeconds))
        #expect(cohorts.bins <= BirthCohorts.binCount)
        #expect(row.map { $0.objects.count == cohorts.bins && $0.bytes.count == cohorts.bins } ?? true)
        #expect(row?.bytes.reduce(0, &+) ?? 0 == counts?.outstandingBytes ?? 0)
        #expect(total(snapshot) == sites[0].ledger.outstanding)
        #expect(counts?.agedBytes ?? 0 <= counts?.outstandingBytes ?? 0)
        if !sampling.isOn {
          #expect(UInt64(total(snapshot)) == counts?.outstandingCount ?? 0)
          #expect(sites[0].ledger.lostBytes <= Int(counts?.outstandingBytes ?? 0))
        } else {
          #expect(counts?.sampled?.objects ?? 0 == UInt64(total(snapshot)))
        }
      }
    }
  }

  @Test("leaks lose, innocents never do", arguments: BehaviourKind.allCases)
  func truth(kind: BehaviourKind) {
    var lost = 0
    for seed in 1...3 {
      var service = Service(
        sites: [LabSite(id: 0, kind: kind, parameters: .heldOut, seed: UInt64(seed))],
        load: LoadShape(form: .flat, period: 600, amplitude: 0), seed: UInt64(seed))
      service.run(seconds: 2400) { _, _ in }
      lost += service.sites[0].ledger.lostObjects
    }
    #expect((lost > 0) == kind.isLeak)
  }

  @Test(
    "what a leak should lose on average it does lose",
    arguments: BehaviourKind.allCases.filter(\.hasConstantRate))
  func expectation(kind: BehaviourKind) {
    var (lost, expected) = (0.0, 0.0)
    for seed in 1...40 {
      var service = Service(
        sites: [LabSite(id: 0, kind: kind, parameters: .development, seed: UInt64(seed))],
        load: LoadShape(form: .square, period: 300, amplitude: 0.5), seed: UInt64(seed))
      service.run(seconds: 1200) { _, _ in }
      let ledger = service.sites[0].ledger
      // Each seed has its own rate: as shares of it they weigh the same.
      lost += Double(ledger.lostBytes) / ledger.expectedLostBytes
      expected += 1
    }
    #expect((lost / expected - 1).magnitude < 0.12, "\(lost / expected)")
  }

  @Test("churn holds what Little's law says, whatever the age of its cohorts")
  func little() {
    let churn = Churn(rate: 100, pool: ExponentialPool(size: 64, mean: 20))
    var sum = 0
    var polls = 0
    _ = alone(churn, seconds: 1800) { snapshot, _ in
      guard snapshot.elapsedSeconds > 200 else { return }
      sum += total(snapshot)
      polls += 1
    }
    #expect((Double(sum) / Double(polls) / 2000 - 1).magnitude < 0.05)
  }

  @Test("lifetimes far below a tick leave next to nothing behind, and all of it is counted")
  func quick() {
    let (last, _) = alone(
      Churn(rate: 2000, pool: ExponentialPool(size: 64, mean: 0.005)), seconds: 600)
    let allocs = last?.sites.first?.allocs ?? 0
    #expect((Double(allocs) / 1_200_000 - 1).magnitude < 0.02)
    #expect(total(last) < 40)
  }

  @Test("an LRU cache keeps its capacity, of the youngest", arguments: [EvictingCache.Order.oldest, .any])
  func cache(order: EvictingCache.Order) {
    let cache = EvictingCache(rate: 10, capacity: 600, size: 64, order: order, seed: 3)
    let (last, _) = alone(cache, seconds: 600)
    #expect(total(last) == 600)
    let oldest = last?.sites.first?.oldestSeconds ?? 0
    // The load's noise is a few per cent; random eviction leaves some for much longer.
    #expect(order == .oldest ? oldest < 80 : oldest > 100)
  }

  @Test("what is older than the attach is not known, nor are its frees")
  func attachedInMidRun() {
    let ttl = Sessions(rate: 10, life: .fixed(100), size: 64)
    var least = Int.max
    let (last, _) = alone(ttl, seconds: 300, lead: 500) { snapshot, _ in
      least = min(least, total(snapshot))
      if snapshot.elapsedSeconds < 100 { #expect(snapshot.sites.first?.frees ?? 0 == 0) }
    }
    #expect(least < 100, "it starts from nothing")
    #expect((800...1200).contains(total(last)))
  }

  @Test("a realloc that keeps the birth moves bytes, one that does not moves objects")
  func vectors() {
    for keepsBirth in [true, false] {
      let vectors = Vectors(count: 10, growth: 1000, most: 1 << 20, keepsBirth: keepsBirth)
      let (last, _) = alone(vectors, seconds: 600)
      let row = last?.cohorts?.rows.first
      #expect(total(last) == 10)
      #expect((row?.objects.first == 10) == keepsBirth)
    }
  }

  @Test("the same seed is the same service, another one is another; sampling does not change what happens")
  func reproducible() {
    func run(_ seed: UInt64, _ sampling: ByteSampling = .everything) -> (Snapshot?, [BehaviourKind]) {
      var service = Service(
        seed: seed, mix: .adversarial, parameters: .heldOut, leaks: 2, count: 40, sampling: sampling)
      var last: Snapshot?
      service.run(seconds: 200) { snapshot, _ in last = snapshot }
      return (last, service.sites.map(\.kind))
    }
    #expect(run(1) == run(1))
    #expect(run(1).0 != run(2).0)
    let sampled = run(1, ByteSampling(distance: 4096) ?? .everything)
    #expect(sampled.1 == run(1).1)
    #expect(sampled.0 != run(1).0)
    #expect(run(1).1.count(where: \.isLeak) == 2)
  }

  @Test("the development set has no class that is held out")
  func heldOut() {
    for seed in UInt64(0)..<30 {
      let service = Service(seed: seed, mix: .adversarial, parameters: .development, leaks: 3)
      #expect(!service.sites.contains { $0.kind.isHeldOut })
    }
    let kinds = (UInt64(0)..<30).flatMap {
      Service(seed: $0, mix: .adversarial, parameters: .heldOut, leaks: 3).sites.map(\.kind)
    }
    #expect(Set(kinds) == Set(BehaviourKind.allCases))
  }

  @Test("sampled estimates are unbiased")
  func sampling() throws {
    let sampling = try #require(ByteSampling(distance: 8192))
    let leak = PlainLeak(
      rate: 50, sizes: SizeLaw(typical: 500, sigma: 0.5), followsLoad: true, group: 1...1)
    let (last, site) = alone(leak, seconds: 1200, sampling: sampling)
    let bytes = Double(last?.sites.first?.outstandingBytes ?? 0)
    let error = last?.sites.first?.sampled?.bytesError ?? 0
    #expect((bytes - Double(site.ledger.lostBytes)).magnitude < 4 * error)
    #expect(error > 0 && error < 0.1 * bytes)
    #expect((last?.sites.first?.sampled?.objects ?? 0) < UInt64(site.ledger.lostObjects / 8))
  }

  @Test("twins are the same until they part, and differ soon after", arguments: MatchedPair.Kind.allCases)
  func twins(kind: MatchedPair.Kind) {
    let pair = MatchedPair(seed: 11, kind: kind, parting: 300)
    func run(_ service: Service) -> [Snapshot] {
      var service = service
      var all: [Snapshot] = []
      service.run(seconds: 500) { snapshot, _ in all.append(snapshot) }
      return all
    }
    let (innocent, leak) = (run(pair.innocent), run(pair.leak))
    #expect(innocent.count == leak.count)
    for (a, b) in zip(innocent, leak) where a.elapsedSeconds <= 295 { #expect(a == b) }
    #expect(innocent.last != leak.last)
  }

  @Test("holding times are what the set of parameters says")
  func holding() {
    for set in ParameterSet.allCases {
      var random = RandomSource(seed: 3)
      let times = (0..<2000).map { _ in set.holding(60, 1200, &random) }
      #expect((times.max() ?? 0) <= (set == .heldOutLong ? 2400 : 1200))
      #expect((times.max() ?? 0) > (set == .heldOutLong ? 2000 : 1000))
    }
  }
}

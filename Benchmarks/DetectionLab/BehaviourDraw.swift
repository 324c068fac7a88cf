import Glibc

/// A behaviour with its parameters drawn.
struct DrawnBehaviour: Sendable {
  var behaviour: any Behaviour
  /// Seconds that it takes to show itself as innocent: to fill, to expire, to turn over. 0 where it need not.
  var holding = 0.0
}

extension BehaviourKind {
  func draw(_ set: ParameterSet, _ random: inout RandomSource) -> DrawnBehaviour {
    isLeak ? drawLeak(set, &random) : drawInnocent(set, &random)
  }

  private func size(_ set: ParameterSet, _ random: inout RandomSource) -> Int {
    Int(set.spread(32, 2048, &random))
  }

  private func sizes(_ set: ParameterSet, _ random: inout RandomSource) -> SizeLaw {
    SizeLaw(typical: size(set, &random), sigma: random.chance(0.3) ? 0.5 : 0)
  }

  private func pool(
    _ set: ParameterSet, _ random: inout RandomSource, _ low: Double = 0.02, _ high: Double = 5
  ) -> ExponentialPool {
    ExponentialPool(size: size(set, &random), mean: set.spread(low, high, &random))
  }

  private func drawLeak(_ set: ParameterSet, _ random: inout RandomSource) -> DrawnBehaviour {
    let size = size(set, &random)
    switch self {
    case .onePercent:
      return DrawnBehaviour(
        behaviour: ShareLeak(
          rate: set.spread(20, 500, &random), share: 0.01, pool: pool(set, &random, 0.1, 10)))
    case .oneInThousand:
      return DrawnBehaviour(
        behaviour: ShareLeak(
          rate: set.spread(300, 2000, &random), share: 0.001, pool: pool(set, &random, 0.02, 1)))
    case .rare: return plain(1 / set.spread(20, 45, &random), SizeLaw(typical: size, sigma: 0), 1...1)
    case .bursts:
      return DrawnBehaviour(
        behaviour: BurstLeak(interval: set.spread(60, 240, &random), burst: 20...200, size: size))
    case .lateOnset:
      return DrawnBehaviour(
        behaviour: ShareLeak(
          rate: set.spread(1, 20, &random), share: random.spread(0.02, 1),
          onset: random.uniform(300, 1200), pool: pool(set, &random)))
    case .accelerating:
      return DrawnBehaviour(
        behaviour: AcceleratingLeak(
          rate: set.spread(0.02, 0.2, &random), doubling: random.uniform(200, 500), size: size))
    case .largeAmongChurn:
      return DrawnBehaviour(
        behaviour: LargeLeak(
          rate: set.spread(5, 200, &random), interval: set.spread(15, 60, &random),
          large: Int(random.spread(65_536, 1_048_576)), pool: pool(set, &random)))
    case .sessionLeak:
      let life = Sessions.Life.logNormal(median: set.spread(40, 120, &random), sigma: 0.6)
      return DrawnBehaviour(
        behaviour: Sessions(rate: set.spread(0.4, 4, &random), share: 0.05, life: life, size: size))
    case .unboundedCache:
      return DrawnBehaviour(
        behaviour: UnboundedCache(
          rate: set.spread(0.1, 10, &random), deleted: random.uniform(0, 0.08), size: size))
    case .threadLeak: return plain(1 / set.spread(15, 60, &random), sizes(set, &random), 1...4)
    case .errorPath:
      return DrawnBehaviour(
        behaviour: EpisodeLeak(
          rate: set.spread(0.3, 5, &random), on: random.uniform(30, 120), off: random.uniform(60, 300),
          pool: pool(set, &random)))
    case .reconnect: return plain(1 / random.uniform(40, 90), sizes(set, &random), 3...10)
    case .bigSlow: return plain(1 / random.uniform(60, 150), SizeLaw(typical: 1 << 20, sigma: 0), 1...1)
    case .reloadLeak:
      return DrawnBehaviour(
        behaviour: Reload(
          interval: random.uniform(120, 400), objects: Int(random.spread(50, 500)), size: size, forgets: true)
      )
    case .heavySessionLeak:
      let life = Sessions.Life.logNormal(median: random.uniform(30, 90), sigma: 1)
      return DrawnBehaviour(
        behaviour: Sessions(rate: random.spread(0.5, 5), share: 0.02, life: life, size: size))
    case .cycleLeak:
      let cycle = LoadShape(
        form: .cycle, period: set.holding(300, 1200, &random), amplitude: 0.9, phase: random.unit())
      return DrawnBehaviour(
        behaviour: ShareLeak(
          rate: random.spread(5, 100), share: 0.01, pool: pool(set, &random, 30, 90), cycle: cycle))
    default:  // steadyLeak
      return DrawnBehaviour(
        behaviour: PlainLeak(
          rate: set.spread(0.05, 5, &random), sizes: sizes(set, &random), followsLoad: true, group: 1...1))
    }
  }

  private func plain(_ rate: Double, _ sizes: SizeLaw, _ group: ClosedRange<Int>) -> DrawnBehaviour {
    DrawnBehaviour(behaviour: PlainLeak(rate: rate, sizes: sizes, followsLoad: false, group: group))
  }

  private func drawInnocent(_ set: ParameterSet, _ random: inout RandomSource) -> DrawnBehaviour {
    let size = size(set, &random)
    switch self {
    case .churn:
      return DrawnBehaviour(
        behaviour: Churn(rate: set.spread(0.5, 2000, &random), pool: pool(set, &random, 0.005, 1)))
    case .slowChurn:
      return DrawnBehaviour(
        behaviour: Churn(rate: set.spread(0.2, 50, &random), pool: pool(set, &random, 5, 60)))
    case .startUp:
      return DrawnBehaviour(
        behaviour: Once(
          count: Int(random.spread(1, 5000)), size: size, start: 0, isAfterAttach: false,
          duration: set.spread(0.5, 20, &random)))
    case .step:
      return DrawnBehaviour(
        behaviour: Once(
          count: Int(random.spread(10, 5000)), size: size, start: random.uniform(5, 3000),
          isAfterAttach: true,
          duration: set.spread(0.5, 10, &random)))
    case .logNormalSessions, .paretoSessions, .weibullSessions, .jobs, .leases, .ttl:
      return drawSessions(set, size, &random)
    case .warmUp, .lru, .randomEviction, .zipfFill, .sampledLRU, .sharedStack, .adoption:
      return drawCache(set, size, &random)
    default: return drawGatherer(set, size, &random)
    }
  }

  private func drawSessions(_ set: ParameterSet, _ size: Int, _ random: inout RandomSource) -> DrawnBehaviour
  {
    let rate = set.spread(0.3, 10, &random)
    switch self {
    case .logNormalSessions:
      let median = set.spread(5, 60, &random)
      // The 99th percentile is e^(2.33 sigma) medians.
      return DrawnBehaviour(
        behaviour: Sessions(rate: rate, life: .logNormal(median: median, sigma: 1), size: size),
        holding: median * exp(2.33))
    case .paretoSessions:
      let least = set.spread(1, 5, &random)
      let alpha = random.uniform(1.2, 2)
      let life = Sessions.Life.pareto(least: least, alpha: alpha, most: 1200)
      return DrawnBehaviour(
        behaviour: Sessions(rate: rate, life: life, size: size),
        holding: min(1200, least * pow(100, 1 / alpha)))
    case .weibullSessions:
      let scale = set.spread(5, 40, &random)
      return DrawnBehaviour(
        behaviour: Sessions(rate: rate, life: .weibull(scale: scale, shape: 0.5), size: size),
        holding: scale * pow(-log(0.01), 2))
    case .jobs:
      let length = set.holding(200, 800, &random)
      return DrawnBehaviour(
        behaviour: Sessions(
          rate: 1 / random.uniform(30, 120), life: .uniform(length / 2, length * 3 / 2), size: size,
          group: 20...200), holding: length * 1.5)
    case .leases:
      let term = set.holding(30, 200, &random)
      return DrawnBehaviour(
        behaviour: Sessions(rate: rate, life: .lease(term, renewal: 0.6), size: size), holding: term * 9)
    default:  // ttl
      let seconds = set.holding(60, 1200, &random)
      return DrawnBehaviour(
        behaviour: Sessions(rate: rate, life: .fixed(seconds), size: size), holding: seconds)
    }
  }

  private func drawCache(_ set: ParameterSet, _ size: Int, _ random: inout RandomSource) -> DrawnBehaviour {
    let holding = set.holding(60, 1200, &random)
    let rate = set.spread(0.3, 8, &random)
    let seed = random.next()
    func cache(_ order: EvictingCache.Order) -> EvictingCache {
      EvictingCache(rate: rate, capacity: Int(rate * holding), size: size, order: order, seed: seed)
    }
    switch self {
    case .warmUp:
      let capacity = set.spread(20, 5000, &random)
      return DrawnBehaviour(
        behaviour: SaturatingCache(capacity: capacity, constant: holding / 3, size: size), holding: holding)
    case .randomEviction: return DrawnBehaviour(behaviour: cache(.any), holding: holding)
    case .sharedStack:
      let churn = Churn(rate: set.spread(0.2, 20, &random), pool: pool(set, &random))
      return DrawnBehaviour(behaviour: Shared(churn: churn, other: cache(.oldest)), holding: holding)
    case .zipfFill, .sampledLRU:
      let keys = Int(random.spread(100, 2000))
      let exponent = random.uniform(0.7, 1.1)
      let bound = self == .zipfFill ? keys : keys / 4
      let requests = ZipfCache.requestsToFill(keys: keys, exponent: exponent) * (self == .zipfFill ? 1 : 0.25)
      return DrawnBehaviour(
        behaviour: ZipfCache(
          rate: requests / holding, keys: keys, exponent: exponent, bound: bound, size: size),
        holding: holding)
    case .adoption:
      return DrawnBehaviour(
        behaviour: Adoption(
          users: set.spread(50, 3000, &random), middle: holding / 2, width: holding / 12, size: size),
        holding: holding)
    default: return DrawnBehaviour(behaviour: cache(.oldest), holding: holding)  // lru
    }
  }

  private func drawGatherer(_ set: ParameterSet, _ size: Int, _ random: inout RandomSource) -> DrawnBehaviour
  {
    let holding = set.holding(60, 1200, &random)
    let rate = set.spread(0.3, 8, &random)
    let seed = random.next()
    switch self {
    case .loadCycle:
      let form: LoadShape.Form = random.chance(0.5) ? .cycle : .square
      let cycle = LoadShape(form: form, period: max(holding, 300), amplitude: 0.9, phase: random.unit())
      return DrawnBehaviour(
        behaviour: Churn(rate: rate, pool: pool(set, &random, 10, 90), cycle: cycle),
        holding: max(holding, 300))
    case .backlog:
      return DrawnBehaviour(
        behaviour: Queue(
          arrivals: rate, service: rate * 1.5, size: size,
          rest: (holding / 2, holding * random.uniform(1.5, 4))), holding: holding)
    case .queue:
      return DrawnBehaviour(
        behaviour: Queue(arrivals: rate, service: rate / random.uniform(0.6, 0.8), size: size, rest: nil),
        holding: 120)
    case .vector, .vectorReborn:
      let most = Int(random.spread(65_536, 4_194_304))
      return DrawnBehaviour(
        behaviour: Vectors(
          count: 1 + random.below(40), growth: Double(most) / holding, most: most, keepsBirth: self == .vector
        ),
        holding: holding)
    case .threadCaches:
      return DrawnBehaviour(
        behaviour: ThreadCaches(
          threads: 2 + random.below(14), limit: Int(random.spread(10, 200)), ramp: holding / 2,
          fill: holding / 2, size: size), holding: holding)
    case .batch:
      return DrawnBehaviour(
        behaviour: Batch(rate: rate, size: size, rule: .every(holding), seed: seed), holding: holding)
    case .memtable:
      return DrawnBehaviour(
        behaviour: Batch(rate: rate, size: size, rule: .at(max(2, Int(rate * holding))), seed: seed),
        holding: holding)
    case .reclaim:
      return DrawnBehaviour(
        behaviour: Batch(
          rate: rate, size: size, rule: .at(max(2, Int(rate * holding))), freed: 0.5, seed: seed),
        holding: holding)
    case .arena:
      let first = 65_536
      return DrawnBehaviour(
        behaviour: Arena(first: first, start: holding / 64, limit: first * 64), holding: holding)
    case .reload:
      return DrawnBehaviour(
        behaviour: Reload(
          interval: holding, objects: Int(random.spread(50, 1000)), size: size, forgets: false),
        holding: holding)
    case .highWater:
      return DrawnBehaviour(
        behaviour: HighWater(rate: rate, life: set.spread(5, 20, &random), size: size), holding: 300)
    default:  // generations
      return DrawnBehaviour(
        behaviour: Generations(
          rate: rate, size: size, youngEvery: random.uniform(10, 30), oldEvery: max(holding, 200),
          promoted: 0.1), holding: max(holding, 200))
    }
  }
}

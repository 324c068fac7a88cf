import Glibc

/// Loses whatever it allocates, at a constant rate at constant load: the steady leak, the rare one, the slow one of
/// large objects.
struct PlainLeak: Behaviour {
  let rate: Double
  let sizes: SizeLaw
  /// Whether what comes follows the load of the service.
  let followsLoad: Bool
  /// Objects at a time.
  let group: ClosedRange<Int>

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let load = followsLoad ? moment.load : 1
    let groups = random.poisson(rate * load * Ledger.tick)
    for _ in 0..<groups {
      for _ in 0..<(group.lowerBound + random.below(group.count)) {
        ledger.lose(size: sizes.draw(&random), &random)
      }
    }
    let mean = Double(group.lowerBound + group.upperBound) / 2
    ledger.expect(rate: rate * load * mean, sizes: sizes)
  }
}

/// A busy site of which a share is never freed, from a time on.
struct ShareLeak: Behaviour {
  let rate: Double
  let share: Double
  /// Seconds after the attach.
  var onset = 0.0
  var pool: ExponentialPool
  /// A cycle of its own, beside the service's load.
  var cycle: LoadShape?

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let rate = rate * (cycle?.shape(moment.seconds) ?? 1)
    let births = moment.arrivals(rate, &random)
    let isOn = moment.seconds >= onset
    let lost = isOn ? random.binomial(births, share) : 0
    ledger.lose(size: pool.size, count: lost, &random)
    pool.step(births: births - lost, &ledger, &random)
    if isOn {
      ledger.expect(rate: rate * share * moment.load, sizes: SizeLaw(typical: pool.size, sigma: 0))
    }
  }
}

/// Now and then many at once.
struct BurstLeak: Behaviour {
  let interval: Double
  let burst: ClosedRange<Int>
  let size: Int

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    guard random.chance(Ledger.tick / interval) else { return }
    ledger.lose(size: size, count: burst.lowerBound + random.below(burst.count), &random)
  }
}

/// A rate that doubles every `doubling` seconds, from a trickle to eight times it and more.
struct AcceleratingLeak: Behaviour {
  let rate: Double
  let doubling: Double
  let size: Int

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let now = rate * (1 + max(moment.seconds, 0) / doubling)
    ledger.lose(size: size, count: moment.arrivals(now, &random), &random)
  }
}

/// Large objects are lost by a site that churns small ones.
struct LargeLeak: Behaviour {
  let rate: Double
  let interval: Double
  let large: Int
  var pool: ExponentialPool

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    pool.step(births: moment.arrivals(rate, &random), &ledger, &random)
    ledger.lose(size: large, count: random.poisson(Ledger.tick / interval), &random)
    ledger.expect(rate: 1 / interval, sizes: SizeLaw(typical: large, sigma: 0))
  }
}

/// Sessions with log-normal lifetimes of which a share is never closed; with a share of 0 the innocent twin.
struct Sessions: Behaviour {
  enum Life: Sendable {
    case logNormal(median: Double, sigma: Double)
    case pareto(least: Double, alpha: Double, most: Double)
    case weibull(scale: Double, shape: Double)
    /// Given up after a fixed time.
    case fixed(Double)
    /// Renewed every so often with a probability.
    case lease(Double, renewal: Double)
    case uniform(Double, Double)
  }

  let rate: Double
  let share: Double
  let life: Life
  let size: Int
  /// Objects that live and die together.
  var group: ClosedRange<Int> = 1...1
  private var queue = DeathQueue()

  init(rate: Double, share: Double = 0, life: Life, size: Int, group: ClosedRange<Int> = 1...1) {
    self.rate = rate
    self.share = share
    self.life = life
    self.size = size
    self.group = group
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    queue.bury(until: moment.seconds, &ledger)
    for _ in 0..<moment.arrivals(rate, &random) {
      if share > 0, random.chance(share) {
        ledger.lose(size: size, &random)
      } else {
        let end = moment.seconds + lifetime(&random)
        for _ in 0..<(group.lowerBound + random.below(group.count)) {
          queue.add(ledger.bear(size: size, &random), at: end)
        }
      }
    }
    if share > 0 {
      ledger.expect(rate: rate * share * moment.load, sizes: SizeLaw(typical: size, sigma: 0))
    }
  }

  private func lifetime(_ random: inout RandomSource) -> Double {
    switch life {
    case .logNormal(let median, let sigma): return random.logNormal(median: median, sigma: sigma)
    case .pareto(let least, let alpha, let most): return min(most, random.pareto(least: least, alpha: alpha))
    case .weibull(let scale, let shape): return random.weibull(scale: scale, shape: shape)
    case .fixed(let seconds): return seconds
    case .uniform(let low, let high): return random.uniform(low, high)
    case .lease(let term, let renewal):
      var terms = 1.0
      while random.chance(renewal) { terms += 1 }
      return term * terms
    }
  }
}

/// A cache from which nothing is ever evicted while ever new keys come; a few entries are deleted by their owners.
struct UnboundedCache: Behaviour {
  let rate: Double
  let deleted: Double
  let size: Int
  private var queue = DeathQueue()

  init(rate: Double, deleted: Double, size: Int) {
    self.rate = rate
    self.deleted = deleted
    self.size = size
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    queue.bury(until: moment.seconds, &ledger)
    for _ in 0..<moment.arrivals(rate, &random) {
      if random.chance(deleted) {
        let end = moment.seconds + random.logNormal(median: 60, sigma: 0.7)
        queue.add(ledger.bear(size: size, &random), at: end)
      } else {
        ledger.lose(size: size, &random)
      }
    }
  }
}

/// Loses only in episodes (errors, night jobs, peaks): on and off for exponential times.
struct EpisodeLeak: Behaviour {
  let rate: Double
  let on: Double
  let off: Double
  var pool: ExponentialPool
  private var isOn = false

  init(rate: Double, on: Double, off: Double, pool: ExponentialPool) {
    self.rate = rate
    self.on = on
    self.off = off
    self.pool = pool
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    if random.chance(Ledger.tick / (isOn ? on : off)) { isOn.toggle() }
    let births = moment.arrivals(rate, &random)
    if isOn { ledger.lose(size: pool.size, count: births, &random) }
    pool.step(births: isOn ? 0 : births, &ledger, &random)
  }
}

/// Each reload builds a configuration; the old one is freed (innocent) or forgotten (a leak).
struct Reload: Behaviour {
  let interval: Double
  let objects: Int
  let size: Int
  let forgets: Bool
  private var current: [LabObject] = []
  private var next = -Double.infinity

  init(interval: Double, objects: Int, size: Int, forgets: Bool) {
    self.interval = interval
    self.objects = objects
    self.size = size
    self.forgets = forgets
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    guard moment.seconds >= next else { return }
    let isFirst = next == -.infinity
    next = moment.seconds + (isFirst ? random.uniform(0, interval) : interval * random.uniform(0.8, 1.2))
    for object in current { forgets ? ledger.lose(object) : ledger.bury(object) }
    current = (0..<objects).map { _ in ledger.bear(size: size, &random) }
  }
}

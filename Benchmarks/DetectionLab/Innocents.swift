import Glibc

/// Objects that come and go: exponential lifetimes, at a rate that may follow a cycle of its own.
struct Churn: Behaviour {
  let rate: Double
  var pool: ExponentialPool
  var cycle: LoadShape?

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let factor = cycle?.shape(moment.seconds) ?? 1
    pool.step(births: moment.arrivals(rate * factor, &random), &ledger, &random)
  }
}

/// Churn and something else behind one stack that is too shallow to tell them apart.
struct Shared: Behaviour {
  var churn: Churn
  var other: any Behaviour

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    churn.step(moment, &ledger, &random)
    other.step(moment, &ledger, &random)
  }
}

/// A number of objects once: when the program starts, or at a time in mid-run.
struct Once: Behaviour {
  let count: Int
  let size: Int
  /// Seconds after the program's start, or after the attach.
  let start: Double
  let isAfterAttach: Bool
  let duration: Double
  private var done = 0

  init(count: Int, size: Int, start: Double, isAfterAttach: Bool, duration: Double) {
    self.count = count
    self.size = size
    self.start = start
    self.isAfterAttach = isAfterAttach
    self.duration = duration
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    guard done < count else { return }
    let elapsed = (isAfterAttach ? moment.seconds : moment.age) - start + Ledger.tick
    let due = Int(Double(count) * min(max(elapsed / duration, 0), 1))
    guard due > done else { return }
    for _ in done..<due { _ = ledger.bear(size: size, &random) }
    done = due
  }
}

/// A queue with one server, first in, first out. In a backlog the server rests for a while and then works at twice
/// its pace until it is done.
struct Queue: Behaviour {
  let arrivals: Double
  let service: Double
  let size: Int
  /// Seconds that the server rests, and from rest to rest; nil if it never does.
  let rest: (seconds: Double, every: Double)?
  private var waiting = Fifo<LabObject>()
  private var credit = 0.0
  private var restsAt: Double?

  init(arrivals: Double, service: Double, size: Int, rest: (seconds: Double, every: Double)?) {
    self.arrivals = arrivals
    self.service = service
    self.size = size
    self.rest = rest
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    for _ in 0..<moment.arrivals(arrivals, &random) { waiting.append(ledger.bear(size: size, &random)) }
    let pace = pace(moment, &random)
    guard pace > 0 else { return }
    for _ in 0..<random.poisson(pace * Ledger.tick) {
      guard let object = waiting.removeFirst() else { break }
      ledger.bury(object)
    }
  }

  private mutating func pace(_ moment: Moment, _ random: inout RandomSource) -> Double {
    guard let rest else { return service }
    let start = restsAt ?? moment.seconds + rest.every * random.unit()
    restsAt = start
    if moment.seconds >= start + rest.every { restsAt = start + rest.every }
    let since = moment.seconds - start
    if since >= 0, since < rest.seconds { return 0 }
    return service * (since < 0 ? 1 : 2)
  }
}

/// Vectors that grow by doubling until they are as large as they get. realloc frees the old block and allocates the
/// new one; whether the new one keeps the birth of the old is the profiler's choice.
struct Vectors: Behaviour {
  let growth: Double
  let most: Int
  let keepsBirth: Bool
  private var vectors: [(used: Double, object: LabObject?)]

  init(count: Int, growth: Double, most: Int, keepsBirth: Bool) {
    self.growth = growth
    self.most = most
    self.keepsBirth = keepsBirth
    vectors = Array(repeating: (0, nil), count: count)
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    for index in vectors.indices {
      vectors[index].used += growth * moment.load * Ledger.tick * random.uniform(0.5, 1.5)
      let size = vectors[index].object.map { Int($0.size) } ?? 0
      guard vectors[index].used > Double(size), size < most else { continue }
      var next = max(256, size)
      while Double(next) < vectors[index].used { next *= 2 }
      vectors[index].object = grow(vectors[index].object, to: min(next, most), &ledger, &random)
    }
  }

  private func grow(
    _ old: LabObject?, to size: Int, _ ledger: inout Ledger, _ random: inout RandomSource
  ) -> LabObject {
    guard let old else { return ledger.bear(size: size, &random) }
    guard keepsBirth else {
      ledger.bury(old)
      return ledger.bear(size: size, &random)
    }
    return ledger.move(old, to: size)
  }
}

/// Threads appear over a while, and each fills a cache of its own to a limit; later it only swaps now and then.
struct ThreadCaches: Behaviour {
  let threads: Int
  let limit: Int
  /// Seconds over which the threads start, and in which one fills.
  let ramp: Double
  let fill: Double
  let size: Int
  private var caches: [[LabObject]]

  init(threads: Int, limit: Int, ramp: Double, fill: Double, size: Int) {
    self.threads = threads
    self.limit = limit
    self.ramp = ramp
    self.fill = fill
    self.size = size
    caches = Array(repeating: [], count: threads)
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    for thread in caches.indices where moment.age >= ramp * Double(thread) / Double(threads) {
      for _ in 0..<moment.arrivals(Double(limit) / fill, &random) {
        if caches[thread].count < limit {
          caches[thread].append(ledger.bear(size: size, &random))
        } else if random.chance(0.2) {
          let victim = random.below(limit)
          ledger.bury(caches[thread][victim])
          caches[thread][victim] = ledger.bear(size: size, &random)
        }
      }
    }
  }
}

/// An arena that doubles when it is full: a few blocks, ever larger, ever rarer.
struct Arena: Behaviour {
  let first: Int
  let start: Double
  let limit: Int
  private var capacity = 0

  init(first: Int, start: Double, limit: Int) {
    self.first = first
    self.start = start
    self.limit = limit
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let used = Double(first) * moment.age / start
    guard capacity < limit, used >= Double(capacity) else { return }
    let block = max(first, capacity)
    _ = ledger.bear(size: block, &random)
    capacity += block
  }
}

/// A pool that keeps as many objects as were ever in use at once.
struct HighWater: Behaviour {
  let rate: Double
  let life: Double
  let size: Int
  private var used = 0
  private var pooled = 0

  init(rate: Double, life: Double, size: Int) {
    self.rate = rate
    self.life = life
    self.size = size
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    used -= random.binomial(used, -expm1(-Ledger.tick / life))
    used += moment.arrivals(rate, &random)
    while pooled < used {
      _ = ledger.bear(size: size, &random)
      pooled += 1
    }
  }
}

import Glibc

/// A cache that fills to a capacity and then evicts one for each that comes: the oldest, or any. Without eviction it
/// is the leak that is its twin until it is full.
struct EvictingCache: Behaviour {
  enum Order: Sendable { case oldest, any, never }

  let rate: Double
  let size: Int
  let order: Order
  /// Seconds after the attach at which it is full, whatever it holds; nil if it is full at its capacity.
  private let closing: Double?
  private var capacity: Int
  private var entries: [LabObject] = []
  private var hand = 0
  /// Its own numbers for the choice of victims: twins differ in nothing else.
  private var choice: RandomSource

  init(rate: Double, capacity: Int, size: Int, order: Order, seed: UInt64) {
    self.rate = rate
    self.capacity = max(1, capacity)
    self.size = size
    self.order = order
    closing = nil
    choice = RandomSource(seed: seed)
  }

  /// One that is full at a time.
  init(rate: Double, fullAt closing: Double, size: Int, order: Order, seed: UInt64) {
    self.rate = rate
    self.size = size
    self.order = order
    self.closing = closing
    capacity = .max
    choice = RandomSource(seed: seed)
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    if let closing, capacity == .max, moment.seconds >= closing { capacity = max(1, entries.count) }
    for _ in 0..<moment.arrivals(rate, &random) {
      let entry = ledger.bear(size: size, &random)
      guard order != .never else {
        // The twin: what its cache would hold by now is still there, and so is all the rest.
        ledger.lose(entry)
        continue
      }
      guard entries.count >= capacity else {
        entries.append(entry)
        continue
      }
      let victim = order == .oldest ? hand : choice.below(capacity)
      hand = (hand + 1) % capacity
      ledger.bury(entries[victim])
      entries[victim] = entry
    }
    if order == .never { ledger.expect(rate: rate * moment.load, sizes: SizeLaw(typical: size, sigma: 0)) }
  }
}

/// Fills towards a bound, the slower the fuller it is, and keeps what it has: warmed-up tables, interned names.
struct SaturatingCache: Behaviour {
  let capacity: Double
  /// Seconds in which the gap to the bound shrinks to a third or so (1 / e).
  let constant: Double
  let size: Int
  private var count = 0.0

  init(capacity: Double, constant: Double, size: Int) {
    self.capacity = capacity
    self.constant = constant
    self.size = size
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let gap = max(0, capacity - count)
    for _ in 0..<moment.arrivals(gap / constant, &random) {
      _ = ledger.bear(size: size, &random)
      count += 1
    }
  }
}

/// A population that grows along a sigmoid to its bound: a feature that users take up.
struct Adoption: Behaviour {
  let users: Double
  let middle: Double
  let width: Double
  let size: Int

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let x = exp(-(moment.age - middle) / width)
    let density = x / ((1 + x) * (1 + x)) / width
    for _ in 0..<random.poisson(users * density * Ledger.tick) { _ = ledger.bear(size: size, &random) }
  }
}

/// Requests for keys of a fixed set with Zipf popularity. Each key is kept from its first request on; where there is
/// a bound, the entry that was longest unused of five drawn at random goes.
struct ZipfCache: Behaviour {
  let rate: Double
  let size: Int
  let bound: Int
  private let cumulative: [Double]
  private var place: [Int32]
  private var entries: [(key: Int32, used: Double, object: LabObject)] = []

  init(rate: Double, keys: Int, exponent: Double, bound: Int, size: Int) {
    self.rate = rate
    self.size = size
    self.bound = bound
    cumulative = Self.cumulative(keys: keys, exponent: exponent)
    place = Array(repeating: -1, count: keys)
  }

  static func cumulative(keys: Int, exponent: Double) -> [Double] {
    var sum = 0.0
    let sums = (1...keys).map { key in
      sum += pow(Double(key), -exponent)
      return sum
    }
    return sums.map { $0 / sum }
  }

  /// Requests after which the least popular key has been asked for with 95 %.
  static func requestsToFill(keys: Int, exponent: Double) -> Double {
    let sums = cumulative(keys: keys, exponent: exponent)
    let least = sums.count > 1 ? sums[sums.count - 1] - sums[sums.count - 2] : 1
    return 3 / least
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    // Once every key is there nothing can change.
    guard bound < place.count || entries.count < place.count else { return }
    for _ in 0..<moment.arrivals(rate, &random) {
      let key = draw(&random)
      if place[key] >= 0 {
        entries[Int(place[key])].used = moment.seconds
        continue
      }
      if entries.count >= bound { evict(&ledger, &random) }
      place[key] = Int32(entries.count)
      entries.append((Int32(key), moment.seconds, ledger.bear(size: size, &random)))
    }
  }

  private func draw(_ random: inout RandomSource) -> Int {
    let u = random.unit()
    var low = 0
    var high = cumulative.count - 1
    while low < high {
      let middle = (low + high) / 2
      if cumulative[middle] < u { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func evict(_ ledger: inout Ledger, _ random: inout RandomSource) {
    var victim = random.below(entries.count)
    for _ in 1..<5 {
      let other = random.below(entries.count)
      if entries[other].used < entries[victim].used { victim = other }
    }
    ledger.bury(entries[victim].object)
    place[Int(entries[victim].key)] = -1
    let last = entries.removeLast()
    guard victim < entries.count else { return }
    entries[victim] = last
    place[Int(last.key)] = Int32(victim)
  }
}

/// Gathers objects and lets all go at once: every so many seconds, when there are enough, or most of them only.
struct Batch: Behaviour {
  enum Rule: Sendable { case every(Double), at(Int), never }

  let rate: Double
  let size: Int
  let rule: Rule
  /// The share that goes.
  let freed: Double
  private var held: [LabObject] = []
  private var next: Double?
  private var choice: RandomSource

  init(rate: Double, size: Int, rule: Rule, freed: Double = 1, seed: UInt64) {
    self.rate = rate
    self.size = size
    self.rule = rule
    self.freed = freed
    choice = RandomSource(seed: seed)
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let births = moment.arrivals(rate, &random)
    guard case .never = rule else {
      for _ in 0..<births { held.append(ledger.bear(size: size, &random)) }
      if isDue(moment) { flush(&ledger) }
      return
    }
    ledger.lose(size: size, count: births, &random)
    ledger.expect(rate: rate * moment.load, sizes: SizeLaw(typical: size, sigma: 0))
  }

  private mutating func isDue(_ moment: Moment) -> Bool {
    switch rule {
    case .every(let seconds):
      let due = next ?? moment.age + seconds
      next = moment.age >= due ? due + seconds : due
      return moment.age >= due
    case .at(let count): return held.count >= count
    case .never: return false
    }
  }

  private mutating func flush(_ ledger: inout Ledger) {
    var kept: [LabObject] = []
    for object in held {
      if freed >= 1 || choice.chance(freed) { ledger.bury(object) } else { kept.append(object) }
    }
    held = kept
  }
}

/// A young generation collected often, an old one collected rarely.
struct Generations: Behaviour {
  let rate: Double
  let size: Int
  let youngEvery: Double
  let oldEvery: Double
  let promoted: Double
  private var young: [LabObject] = []
  private var old: [LabObject] = []
  private var youngDue = -Double.infinity
  private var oldDue = -Double.infinity

  init(rate: Double, size: Int, youngEvery: Double, oldEvery: Double, promoted: Double) {
    self.rate = rate
    self.size = size
    self.youngEvery = youngEvery
    self.oldEvery = oldEvery
    self.promoted = promoted
  }

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    if oldDue == -.infinity { oldDue = moment.seconds + oldEvery * random.unit() }
    for _ in 0..<moment.arrivals(rate, &random) { young.append(ledger.bear(size: size, &random)) }
    if moment.seconds >= youngDue {
      for object in young {
        if random.chance(promoted) { old.append(object) } else { ledger.bury(object) }
      }
      young.removeAll(keepingCapacity: true)
      youngDue = moment.seconds + youngEvery
    }
    guard moment.seconds >= oldDue else { return }
    var kept: [LabObject] = []
    for object in old { if random.chance(0.1) { kept.append(object) } else { ledger.bury(object) } }
    old = kept
    oldDue = moment.seconds + oldEvery
  }
}

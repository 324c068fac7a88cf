import Glibc
import Profile

/// Numbers that are the same in every run (SplitMix64; Steele, Lea, Flood, OOPSLA 2014).
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) {
    // Mixed, for streams of neighbouring states are the same but for a step.
    state = seed
    state = next() ^ 0xD1B5_4A32_D192_ED03
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// In 0..<1.
  mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
  mutating func exponential(_ mean: Double) -> Double { -mean * log(1 - unit()) }
  mutating func normal() -> Double { (-2 * log(1 - unit())).squareRoot() * cos(2 * Double.pi * unit()) }
}

/// A call site of a synthetic program: what it has allocated and what is left.
final class SyntheticSite {
  struct Object {
    var birth: Double
    var death: Double
    var size: UInt64
  }

  let id: UInt32
  var live: [Object] = []
  private(set) var allocs: UInt64 = 0
  private(set) var frees: UInt64 = 0
  private(set) var allocatedBytes: UInt64 = 0
  private(set) var freedBytes: UInt64 = 0
  /// With sampling one object in so many is seen; 1 is all.
  var sampling = 1.0
  private let run: (SyntheticSite, Range<Double>, inout SeededNumbers) -> Void
  /// For behaviours to remember things.
  var memory = 0.0

  init(id: UInt32, _ run: @escaping (SyntheticSite, Range<Double>, inout SeededNumbers) -> Void) {
    self.id = id
    self.run = run
  }

  func allocate(at time: Double, size: UInt64 = 100, life: Double = .infinity) {
    allocs += 1
    allocatedBytes += size
    live.append(Object(birth: time, death: time + life, size: size))
  }

  /// Allocations that are freed at once.
  func churn(_ count: Int, size: UInt64 = 100) {
    allocs += UInt64(count)
    frees += UInt64(count)
    allocatedBytes += UInt64(count) * size
    freedBytes += UInt64(count) * size
  }

  func free(at index: Int) {
    frees += 1
    freedBytes += live[index].size
    live.swapAt(index, live.count - 1)
    live.removeLast()
  }

  /// Frees all that was born before a time.
  func free(bornBefore time: Double) {
    for index in live.indices.reversed() where live[index].birth < time { free(at: index) }
  }

  func advance(_ time: Range<Double>, _ numbers: inout SeededNumbers) {
    run(self, time, &numbers)
    for index in live.indices.reversed() where live[index].death <= time.upperBound { free(at: index) }
  }
}

/// Behaviours of call sites. Times are in seconds.
enum Behaviour {
  typealias Run = (SyntheticSite, Range<Double>, inout SeededNumbers) -> Void

  /// Objects at random times, at a mean rate that may change with time.
  static func arrivals(
    _ time: Range<Double>, _ numbers: inout SeededNumbers, most: Double, rate: (Double) -> Double,
    _ body: (Double, inout SeededNumbers) -> Void
  ) {
    var now = time.lowerBound + numbers.exponential(1 / most)
    while now < time.upperBound {
      if numbers.unit() * most < rate(now) { body(now, &numbers) }
      now += numbers.exponential(1 / most)
    }
  }

  /// `leak` of the objects are never freed, the others live for `life` on average.
  static func partial(
    rate: Double, leak: Double, life: Double = 1, from onset: Double = 0, size: UInt64 = 100,
    load: @escaping (Double) -> Double = { _ in 1 }, most: Double = 1
  ) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate * most, rate: { rate * load($0) }) { now, numbers in
        let isLost = numbers.unit() < leak && now >= onset
        site.allocate(at: now, size: size, life: isLost ? .infinity : numbers.exponential(life))
      }
    }
  }

  static func bursts(every mean: Double, of count: Int, size: UInt64 = 100) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: 1 / mean, rate: { _ in 1 / mean }) { now, _ in
        for _ in 0..<count { site.allocate(at: now, size: size) }
      }
    }
  }

  /// A cache of `capacity` objects that throws out the oldest or, if `isRandom`, any.
  static func cache(rate: Double, capacity: Int, isRandom: Bool = false) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate, rate: { _ in rate }) { now, numbers in
        site.allocate(at: now)
        guard site.live.count > capacity else { return }
        let victim =
          isRandom
          ? Int.random(in: 0..<site.live.count, using: &numbers)
          : site.live.indices.min { site.live[$0].birth < site.live[$1].birth } ?? 0
        site.free(at: victim)
      }
    }
  }

  static func timeToLive(rate: Double, life: Double) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate, rate: { _ in rate }) { now, _ in
        site.allocate(at: now, life: life)
      }
    }
  }

  /// All is freed at once, every `period`.
  static func batch(rate: Double, period: Double, phase: Double = 0) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate, rate: { _ in rate }) { now, _ in site.allocate(at: now) }
      let batch = ((time.upperBound + phase) / period).rounded(.down) * period - phase
      if batch >= time.lowerBound { site.free(bornBefore: batch) }
    }
  }

  /// A keyspace that gets known: ever fewer new objects.
  static func saturating(rate: Double, time constant: Double) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate, rate: { rate * exp(-$0 / constant) }) { now, _ in
        site.allocate(at: now)
      }
    }
  }

  /// So many objects at each of the times.
  static func steps(at times: [Double], of count: Int) -> Run {
    { site, time, _ in
      for step in times where time.contains(step) { for _ in 0..<count { site.allocate(at: step) } }
    }
  }

  /// A queue whose consumer takes all within a second but stands still in `stall`, and drains it after.
  static func queue(rate: Double, stall: Range<Double>) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate, rate: { _ in rate }) { now, numbers in
        let end = max(stall.contains(now) ? stall.upperBound + numbers.exponential(20) : now, now)
        site.allocate(at: now, life: end - now + numbers.exponential(0.5))
      }
    }
  }

  /// An arena that gets another chunk, twice as large, whenever it is full; and frees nothing.
  static func arena(bytesPerSecond: Double) -> Run {
    { site, time, _ in
      while site.memory <= time.upperBound {
        let chunk = max(Double(site.allocatedBytes), 4096)
        site.allocate(at: max(site.memory, time.lowerBound), size: UInt64(chunk))
        site.memory += chunk / bytesPerSecond
      }
    }
  }

  /// Sessions with a heavy tail: Pareto of that shape and shortest life.
  static func heavyTail(rate: Double, shape: Double, shortest: Double) -> Run {
    { site, time, numbers in
      arrivals(time, &numbers, most: rate, rate: { _ in rate }) { now, numbers in
        site.allocate(at: now, life: shortest * pow(1 - numbers.unit(), -1 / shape))
      }
    }
  }
}

/// A process with synthetic sites, and the snapshots of it.
struct SyntheticProgram {
  var sites: [SyntheticSite] = []
  var numbers: SeededNumbers
  var now = 0.0
  var process = 0
  /// One object in so many is seen, as with sampling; 1 is all.
  var sampling = 1

  init(seed: UInt64, _ behaviours: [Behaviour.Run]) {
    numbers = SeededNumbers(seed: seed)
    for behaviour in behaviours { sites.append(SyntheticSite(id: UInt32(sites.count + 1), behaviour)) }
  }

  mutating func advance(to time: Double) {
    for site in sites { site.advance(now..<time, &numbers) }
    now = time
  }

  func snapshot() -> Snapshot {
    let width = BirthCohorts.width(elapsed: now)
    let bins = Int(now / width) + 1
    var rows: [BirthCohorts.Row] = []
    var counts: [SiteCounts] = []
    for site in sites where site.allocs > 0 {
      var row = BirthCohorts.Row(
        site: site.id, objects: Array(repeating: 0, count: bins), bytes: Array(repeating: 0, count: bins))
      var seen: UInt64 = 0
      for object in site.live {
        let bin = min(Int(object.birth / width), bins - 1)
        // Whether an object is in the sample is decided once, from its birth.
        if sampling > 1, Int(object.birth * 1e6) % sampling != 0 { continue }
        seen += 1
        row.objects[bin] += 1
        row.bytes[bin] += object.size * UInt64(sampling)
      }
      if seen > 0 { rows.append(row) }
      counts.append(
        SiteCounts(
          id: site.id, process: process, allocs: site.allocs, frees: site.frees,
          allocatedBytes: site.allocatedBytes, freedBytes: site.freedBytes,
          sampled: sampling > 1 ? SampledOutstanding(objects: seen, bytesError: 0, countError: 0) : nil))
    }
    return Snapshot(
      elapsedSeconds: now, sites: counts,
      cohorts: BirthCohorts(width: width, bins: bins, rows: rows))
  }
}

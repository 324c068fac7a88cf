public import Profile

/// One allocated object of a simulated site.
public struct LabObject: Sendable {
  /// The tick of its birth; negative before the attach.
  var birth: Int32
  var size: Int32
  /// Whether the profiler knows it: born after the attach, and kept by sampling.
  var isKnown: Bool
}

/// What a profiler would know of one simulated site, and the truth beside it. Constant in size however long the
/// simulation: objects that live are counts in bins of birth, as in `BirthCohorts`.
public struct Ledger: Sendable {
  /// Seconds of a tick, which is also the narrowest bin.
  public static let tick = 0.5

  let sampling: ByteSampling
  /// Ticks since the attach; negative before.
  var now: Int32 = 0
  private var shift: Int32 = 0
  private var objects = [UInt32](repeating: 0, count: BirthCohorts.binCount)
  private var bytes = [UInt64](repeating: 0, count: BirthCohorts.binCount)
  private var allocs: UInt64 = 0
  private var frees: UInt64 = 0
  private var allocatedBytes: UInt64 = 0
  private var freedBytes: UInt64 = 0
  private var kept = 0
  private var countVariance = 0.0
  private var bytesVariance = 0.0
  private var youngCount: UInt64 = 0
  private var youngBytes: UInt64 = 0

  /// What was lost since the attach, in truth, sampled or not.
  public private(set) var lostObjects = 0
  public private(set) var lostBytes = 0
  /// The same as the behaviour's law has it: what would be lost on average under this load.
  public internal(set) var expectedLostBytes = 0.0

  public init(sampling: ByteSampling = .everything) { self.sampling = sampling }

  /// Begins a tick; bins become wider when the watch outgrows them.
  mutating func begin(tick: Int) {
    now = Int32(tick)
    youngCount = 0
    youngBytes = 0
    // A snapshot at the end of this tick must find its own, still empty bin.
    guard tick >= 0, (tick + 1) >> Int(shift) >= BirthCohorts.binCount else { return }
    shift += 1
    for index in 0..<BirthCohorts.binCount / 2 {
      objects[index] = objects[2 * index] &+ objects[2 * index + 1]
      bytes[index] = bytes[2 * index] &+ bytes[2 * index + 1]
    }
    for index in BirthCohorts.binCount / 2..<BirthCohorts.binCount {
      objects[index] = 0
      bytes[index] = 0
    }
  }

  /// An object is allocated.
  mutating func bear(size: Int, _ random: inout RandomSource) -> LabObject {
    let isKnown =
      now >= 0 && (!sampling.isOn || random.chance(sampling.probability(UInt64(size))))
    if isKnown { add(1, size: size) }
    return LabObject(birth: now, size: Int32(size), isKnown: isKnown)
  }

  /// Many of one size; returns how many of them the profiler knows.
  mutating func bear(size: Int, count: Int, _ random: inout RandomSource) -> Int {
    guard count > 0, now >= 0 else { return 0 }
    let known = sampling.kept(of: count, size: size, &random)
    add(known, size: size)
    return known
  }

  /// Many of one size that are gone by the end of the tick.
  mutating func pass(size: Int, count: Int, _ random: inout RandomSource) {
    guard count > 0, now >= 0 else { return }
    let known = UInt64(sampling.kept(of: count, size: size, &random))
    let (scaledCount, scaledBytes) = scaled(size)
    allocs += known * scaledCount
    frees += known * scaledCount
    allocatedBytes += known * scaledBytes
    freedBytes += known * scaledBytes
  }

  /// Objects that are never freed. They are in no behaviour's hands any more.
  mutating func lose(size: Int, count: Int = 1, _ random: inout RandomSource) {
    guard count > 0, now >= 0 else { return }
    _ = bear(size: size, count: count, &random)
    lostObjects += count
    lostBytes += size * count
  }

  /// An object that was in use is lost from now on. The ones from before the attach do not count.
  mutating func lose(_ object: LabObject) {
    guard object.birth >= 0 else { return }
    lostObjects += 1
    lostBytes += Int(object.size)
  }

  /// An object is freed.
  mutating func bury(_ object: LabObject) {
    guard object.isKnown else { return }
    remove(1, size: Int(object.size), birth: object.birth)
  }

  /// `count` known objects of one size and birth are freed.
  mutating func bury(size: Int, birth: Int32, count: Int) {
    if count > 0 { remove(count, size: size, birth: birth) }
  }

  /// An object moves to another size and keeps its birth, as a realloc may be counted. Sampling's decision stays.
  mutating func move(_ object: LabObject, to size: Int) -> LabObject {
    var moved = object
    moved.size = Int32(size)
    guard object.isKnown else { return moved }
    remove(1, size: Int(object.size), birth: object.birth)
    let present = now
    now = object.birth
    add(1, size: size)
    now = present
    if object.birth != now {
      youngCount -= 1
      youngBytes -= scaled(size).bytes
    }
    return moved
  }

  private func scaled(_ size: Int) -> (count: UInt64, bytes: UInt64) {
    guard sampling.isOn else { return (1, UInt64(size)) }
    return (sampling.scaledCount(UInt64(size)), sampling.scaledBytes(UInt64(size)))
  }

  private mutating func add(_ count: Int, size: Int) {
    guard count > 0 else { return }
    let n = UInt64(count)
    let (scaledCount, scaledBytes) = scaled(size)
    allocs += n * scaledCount
    allocatedBytes += n * scaledBytes
    let bin = Int(now >> shift)
    objects[bin] &+= UInt32(count)
    bytes[bin] &+= n * scaledBytes
    youngCount += n
    youngBytes += n * scaledBytes
    note(count, size: size)
  }

  private mutating func remove(_ count: Int, size: Int, birth: Int32) {
    let n = UInt64(count)
    let (scaledCount, scaledBytes) = scaled(size)
    frees += n * scaledCount
    freedBytes += n * scaledBytes
    let bin = Int(birth >> shift)
    objects[bin] &-= UInt32(count)
    bytes[bin] &-= n * scaledBytes
    if birth == now {
      youngCount -= n
      youngBytes -= n * scaledBytes
    }
    note(-count, size: size)
  }

  private mutating func note(_ count: Int, size: Int) {
    kept += count
    guard sampling.isOn else { return }
    let weight = sampling.weight(UInt64(size))
    countVariance += Double(count) * weight * (weight - 1)
    bytesVariance += Double(count) * weight * (weight - 1) * Double(size) * Double(size)
  }

  /// Objects outstanding that the profiler knows of.
  public var outstanding: Int { kept }

  /// The site as a snapshot at the end of the tick has it. Aged is what is older than a tick.
  func counts(id: UInt32) -> SiteCounts {
    let unit = sampling.isOn ? ByteSampling.countUnit : 1
    func whole(_ count: UInt64) -> UInt64 { (count + unit / 2) / unit }
    var counts = SiteCounts(
      id: id, process: 0, allocs: whole(allocs), frees: whole(frees), allocatedBytes: allocatedBytes,
      freedBytes: freedBytes)
    counts.agedCount = whole(allocs - frees) - min(whole(youngCount), whole(allocs - frees))
    counts.agedBytes = allocatedBytes - freedBytes - youngBytes
    if kept > 0, let first = objects.firstIndex(where: { $0 > 0 }) {
      counts.oldestSeconds = Double(Int(now) + 1 - first << Int(shift)) * Self.tick
    }
    if sampling.isOn {
      counts.sampled = SampledOutstanding(
        objects: UInt64(kept), bytesError: max(bytesVariance, 0).squareRoot(),
        countError: max(countVariance, 0).squareRoot())
    }
    return counts
  }

  /// The row of the cohorts, nil if nothing is outstanding.
  func row(id: UInt32, bins: Int) -> BirthCohorts.Row? {
    guard kept > 0 else { return nil }
    return BirthCohorts.Row(site: id, objects: Array(objects.prefix(bins)), bytes: Array(bytes.prefix(bins)))
  }
}

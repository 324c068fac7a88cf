import Glibc
public import Profile

/// By how much what survives of a site grows.
public struct Growth: Sendable, Hashable {
  /// Bytes per second.
  public var bytesPerSecond: Double
  /// Its 95 % confidence interval, in bytes per second; never below 0.
  public var interval: ClosedRange<Double>

  public init(bytesPerSecond: Double, interval: ClosedRange<Double>) {
    self.bytesPerSecond = bytesPerSecond
    self.interval = interval
  }

  /// From the bytes that are left of what was born in each bin. The spread of the bins carries all that makes the rate
  /// unsure: rare objects, clusters, sizes, samples. Bins of a cluster go together, so bins are taken in pairs too, and
  /// the wider one of both intervals counts. Nil of less than 4 bins.
  init?(_ bytes: ArraySlice<Float>, width: Double) {
    guard bytes.count >= 4, width > 0 else { return nil }
    let sum = bytes.reduce(0) { $0 + Double($1) }
    let length = Double(bytes.count) * width
    bytesPerSecond = sum / length
    let reach = max(Self.reach(bytes, by: 1), bytes.count >= 12 ? Self.reach(bytes, by: 2) : 0) / length
    interval = max(bytesPerSecond - reach, 0)...(bytesPerSecond + reach)
  }

  /// Half of the 95 % interval of the sum, by Student's distribution.
  private static func reach(_ bytes: ArraySlice<Float>, by size: Int) -> Double {
    let blocks = bytes.count / size
    var sums: [Double] = []
    for block in 0..<blocks {
      let start = bytes.endIndex - (block + 1) * size
      sums.append(bytes[start..<(start + size)].reduce(0) { $0 + Double($1) })
    }
    let mean = sums.reduce(0, +) / Double(blocks)
    let variance = sums.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(blocks - 1)
    let scale = Double(bytes.count) / Double(blocks * size)
    return student(Double(blocks - 1)) * (variance * Double(blocks)).squareRoot() * scale
  }

  /// The 97.5 % point of Student's distribution, by the expansion of Cornish and Fisher (Abramowitz and Stegun
  /// 26.7.5). Within 1 % from 4 degrees of freedom on.
  static func student(_ degrees: Double) -> Double {
    let z = 1.959964
    let g1 = (pow(z, 3) + z) / 4
    let g2 = (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / 96
    let g3 = (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / 384
    return z + g1 / degrees + g2 / (degrees * degrees) + g3 / pow(degrees, 3)
  }
}

/// In how many stretches of the watch a site's outstanding bytes grew. For the reader: it proves nothing.
public struct Intervals: Sendable, Hashable {
  public var grown: Int
  public var seen: Int
  /// Seconds that one spans.
  public var seconds = 0.0
  /// By what share of itself the outstanding memory changed over the later half; 0 if it cannot be told.
  public var laterChange = 0.0

  public init(grown: Int, seen: Int) {
    self.grown = grown
    self.seen = seen
  }

  /// From outstanding bytes at the ends of intervals; nan where nobody looked.
  init(_ levels: ArraySlice<Float>) {
    let known = levels.filter { !$0.isNaN }
    grown = zip(known, known.dropFirst()).count { $1 > $0 }
    seen = max(known.count - 1, 0)
    if let last = known.last, known.count >= 4 {
      let middle = known[known.count / 2]
      laterChange = Double(last - middle) / Double(max(last, middle, 1))
    }
  }
}

/// When a limit will be reached if everything else stays as it is.
public struct Outlook: Sendable, Hashable {
  public var limit: MemoryLimit
  /// Seconds from now.
  public var seconds: Double
  /// Of the rate's 95 % interval; the upper end may be infinite.
  public var interval: ClosedRange<Double>

  /// Nil if nothing grows.
  public init?(limit: MemoryLimit, growth: Growth) {
    guard growth.bytesPerSecond > 0 else { return nil }
    let left = Double(limit.headroom)
    self.limit = limit
    seconds = left / growth.bytesPerSecond
    let latest = growth.interval.lowerBound > 0 ? left / growth.interval.lowerBound : .infinity
    interval = (left / growth.interval.upperBound)...latest
  }
}

/// Whether earlier looks have suspected the site too.
public struct SuspicionHistory: Sendable, Hashable {
  /// At the last look; looks are when the watch has become 1.19 times as long.
  public var atLastLook: Bool
  /// When the watch was half as long, and mostly since then.
  public var sinceHalf: Bool

  /// When the watch was half as long, enough had been freed at an age to know how long things last here.
  public var knewAgesAtHalf: Bool
  /// When the watch was half as long, something had been freed.
  public var hadFreedAtHalf: Bool

  public init(
    atLastLook: Bool = false, sinceHalf: Bool = false, knewAgesAtHalf: Bool = false,
    hadFreedAtHalf: Bool = false
  ) {
    self.atLastLook = atLastLook
    self.sinceHalf = sinceHalf
    self.knewAgesAtHalf = knewAgesAtHalf
    self.hadFreedAtHalf = hadFreedAtHalf
  }

  /// Of bits a look, the last one in bit 0.
  init(suspected: UInt32, matured: UInt32, freed: UInt32) {
    atLastLook = suspected & 1 != 0
    // Four looks are an octave.
    sinceHalf = suspected & 0b10000 != 0 && (suspected & 0b1111).nonzeroBitCount >= 3
    knewAgesAtHalf = matured & 0b10001 == 0b10001
    hadFreedAtHalf = freed & 0b10000 != 0
  }
}

/// What a verdict rests on.
public struct Evidence: Sendable, Hashable {
  /// Since the attach, or since the site was first seen if that was later.
  public var watchedSeconds: Double
  /// It passed the survival test, and the control of false alarms over all sites.
  public var isSuspected = false
  public var wasSuspected = SuspicionHistory()
  /// Nil if nothing can be said.
  public var growth: Growth?
  public var intervals = Intervals(grown: 0, seen: 0)
  /// Of all that the site allocated more than `ageSeconds` ago, the share that is still there; nil of nothing.
  public var keptShare: Double?
  /// Frees so far.
  public var freed: UInt64 = 0
  public var outstandingBytes: UInt64 = 0
  public var outstandingCount: UInt64 = 0
  public var reachability: Reachability?
  public var outlook: Outlook?
  /// Growth below it is a trifle.
  public var floorBytesPerSecond = VerdictPolicy.floorBytesPerSecond
  let test: SurvivalTest

  init(watchedSeconds: Double, test: SurvivalTest) {
    self.watchedSeconds = watchedSeconds
    self.test = test
  }

  /// The age in seconds from which on objects count as survivors.
  public var ageSeconds: Double { test.age }
  /// Objects that have passed that age in the window that was tested, and are there; with sampling those in the sample.
  public var survivors: Int { test.survivors }
  /// Objects that passed that age and were freed later.
  public var deaths: Double { test.deaths }
  /// How many of the survivors are independent of each other.
  public var groups: Double { test.groups }
  /// The probability that half or more of what reaches the age is freed later; 1 if the site is not suspected.
  public var probability: Double { test.probability }
  /// How far back the evidence goes, in seconds: a leak may have begun long after the watch has.
  public var spanSeconds: Double { min(watchedSeconds, test.to + test.age - test.since) }
  /// The rate is worth a word.
  public var isMaterial: Bool { (growth?.bytesPerSecond ?? 0) >= floorBytesPerSecond }
}

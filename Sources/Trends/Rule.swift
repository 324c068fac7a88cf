/// When a process is said to grow.
///
/// On one of the levels of `LowWaterMarks` there are at least 12 buckets and
/// 1. nearly all pairs of them rise: Kendall's tau is at least 0.7, on the finest level 0.85. Of 16 buckets of mere noise
///    that is 3.8 and 4.6 standard deviations (`Slope`), and there are several thousand looks a day at each process;
/// 2. the lowest of the last third is above the highest of the first third;
/// 3. from the minimum of the first third of the time to the second's and on to the last one's are two steps up, and the
///    rate of the later one is at least half of the earlier one's: what levels off, as after a start, is no growth;
/// 4. the rate makes at least `share` of what the process holds over the time of the buckets, and at least `least`
///    bytes: four times as much on the finest level, where two minutes must do.
///
/// It is said to grow on until none of this holds any more on the level on which it was said, or the next coarser one:
/// with a tau of 0.5 and a quarter of the sizes.
public struct Rule: Sendable, Hashable {
  /// Bytes.
  public var least: Double
  /// Of what the process holds.
  public var share: Double

  public init(least: Double = Double(1 << 20), share: Double = 0.01) {
    self.least = least
    self.share = share
  }

  static let buckets = 12

  /// The growth that the marks of a level show; nil if they do not. `isGoing`: it has been told before.
  func growth(_ marks: ArraySlice<LowWaterMarks.Mark>, level: Int, isGoing: Bool) -> Slope? {
    guard marks.count >= Self.buckets, let first = marks.first, let last = marks.last else { return nil }
    // Most processes rest: they are told by this.
    guard last.pages > first.pages else { return nil }
    guard isRising(marks, from: first, to: last, isGoing: isGoing) else { return nil }
    guard let slope = Slope(marks), slope.tau >= (isGoing ? 0.5 : level == 0 ? 0.85 : 0.7) else { return nil }
    let rise = slope.bytesPerSecond * Double(last.seconds - first.seconds)
    let scale = (isGoing ? 0.25 : 1.0) * (level == 0 ? 4 : 1)
    return rise >= max(least, share * first.bytes) * scale ? slope : nil
  }

  /// The second and third of the conditions. Thirds are of the time, not of the buckets' number: looks may have been left
  /// out, and if they were for a third of the time nothing speaks for a new growth or against one that goes on.
  private func isRising(
    _ marks: ArraySlice<LowWaterMarks.Mark>, from first: LowWaterMarks.Mark, to last: LowWaterMarks.Mark,
    isGoing: Bool
  ) -> Bool {
    let length = (last.seconds - first.seconds) / 3
    guard length > 0 else { return false }
    var lows: [LowWaterMarks.Mark?] = [nil, nil, nil]
    var highest = 0.0
    for mark in marks {
      let third = min(max(Int((mark.seconds - first.seconds) / length), 0), 2)
      if mark.pages < lows[third]?.pages ?? .max { lows[third] = mark }
      if third == 0 { highest = max(highest, mark.bytes) }
    }
    guard let low = lows[0], let middle = lows[1], let late = lows[2] else { return isGoing }
    guard middle.pages > low.pages, late.pages > middle.pages else { return false }
    let steps = (middle.seconds - low.seconds, late.seconds - middle.seconds)
    // Lows that stand nearly side by side are no measure of a rate.
    if steps.0 >= length / 2, steps.1 >= length / 2 {
      let rates = (
        (middle.bytes - low.bytes) / Double(steps.0), (late.bytes - middle.bytes) / Double(steps.1)
      )
      guard rates.1 >= rates.0 / 2 else { return false }
    }
    return isGoing || late.bytes > highest
  }
}

/// A stretch of growth, as far as it is known. Times are seconds of the clock of the samples.
public struct Growth: Sendable, Hashable {
  /// When it began: the first bucket of those that showed it first.
  public var since: Double
  public var seen: Double
  /// Bytes per second and the 95 % interval, over the buckets that show it now.
  public var bytesPerSecond: Double
  public var low: Double
  public var high: Double
  /// How steadily it rises: Kendall's tau of those buckets, 1 if none of them is below an earlier one.
  public var tau: Double
  /// Seconds that those buckets span.
  public var span: Double
  /// Bytes then and now.
  public var from: UInt64
  public var to: UInt64
  /// The level on which it shows.
  var level: Int
}

/// One process's memory over time, and whether it grows.
public struct Trend: Sendable, Hashable {
  public enum Event: Sendable, Hashable {
    case began
    /// It still grows, and the figures are new.
    case goesOn
    case ended(Growth)
  }

  private var marks = LowWaterMarks()
  private let first: Double
  public private(set) var growth: Growth?

  /// `seconds` is the time of the first sample.
  public init(seconds: Double) { first = seconds }

  /// Adds a sample. Nil if nothing is to be told.
  public mutating func add(seconds: Double, bytes: UInt64, _ rule: Rule) -> Event? {
    marks.add(seconds: seconds - first, bytes: bytes)
    guard var known = growth else {
      for level in 0..<LowWaterMarks.levels where marks.isFresh(level) {
        if let found = find(level, rule, isGoing: false, seconds, bytes) {
          growth = found
          return .began
        }
      }
      return nil
    }
    known.seen = seconds
    known.to = bytes
    let levels = known.level...min(known.level + 1, LowWaterMarks.levels - 1)
    // A level without a new bucket says what it said before.
    guard levels.contains(where: marks.isFresh) else {
      growth = known
      return nil
    }
    var found: Growth?
    for level in levels { found = find(level, rule, isGoing: true, seconds, bytes) ?? found }
    guard var found else {
      growth = nil
      return .ended(known)
    }
    found.since = known.since
    found.from = known.from
    // It does not climb: on coarse levels the end of a growth shows late.
    found.level = known.level
    growth = found
    return .goesOn
  }

  private func find(
    _ level: Int, _ rule: Rule, isGoing: Bool, _ seconds: Double, _ bytes: UInt64
  ) -> Growth? {
    let row = marks.level(level)
    guard let start = row.first, let end = row.last,
      let slope = rule.growth(row, level: level, isGoing: isGoing)
    else { return nil }
    return Growth(
      since: first + Double(start.seconds), seen: seconds, bytesPerSecond: slope.bytesPerSecond,
      low: slope.low, high: slope.high, tau: slope.tau, span: Double(end.seconds - start.seconds),
      from: UInt64(start.bytes), to: bytes, level: level)
  }
}

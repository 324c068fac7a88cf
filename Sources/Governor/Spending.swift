/// What has been spent of a budget, and what was not seen for it: the figures that every report of a governed watch shows.
public struct Spending: Sendable, Hashable {
  /// Seconds, in all and with the probes in place.
  public private(set) var seconds = 0.0
  public private(set) var secondsInPlace = 0.0
  /// Seconds of CPU: what it has cost, drip's own part of that, and what was allowed.
  public private(set) var cost = 0.0
  public private(set) var ownCPU = 0.0
  public private(set) var allowed = 0.0
  /// Seconds of CPU that the target has used, with what the probes cost it.
  public private(set) var targetCPU = 0.0
  public private(set) var hits: UInt64 = 0
  public private(set) var windows: UInt64 = 0

  public init() {}

  mutating func add(_ interval: Governor.Interval, cost: Double, allowed: Double) {
    seconds += interval.seconds
    secondsInPlace += interval.secondsInPlace
    self.cost += cost
    ownCPU += interval.ownCPU
    self.allowed += allowed
    targetCPU += interval.targetCPU
    hits += interval.hits
    windows += interval.secondsInPlace > 0 ? 1 : 0
  }

  /// What was spent for a second of the target's own CPU time; nil as long as it has used none.
  public var share: Double? {
    let own = targetCPU - (cost - ownCPU)
    return own > 0 ? cost / own : nil
  }

  /// The part of the time in which probes were in place: 0 to 1. What was allocated and freed in the rest was not seen.
  public var seen: Double { seconds > 0 ? min(1, secondsInPlace / seconds) : 0 }
}

/// Keeps what drip costs a target under a share of the CPU, by choosing how long the next window of probes lasts and
/// how long it is away after that. Pure arithmetic: it reads no clock and starts nothing.
///
/// The cost of a window is known before it ends: each hit of a probe costs what calibration has measured, and a rate that
/// rises tenfold uses the window up ten times as fast. So every window is given an allowance of hits, and whoever runs it
/// has to take the probes off when that is used up (`Decision.allowance`), however much of the time is left. That bound
/// holds for any load. Rates that were seen only decide how the windows are laid out.
///
/// Spending is kept in an account. Time pays in the budgeted share of it; windows pay out what they cost. The account
/// may save up for a few seconds and no more, so that a long quiet time does not buy a burst; and it may be overdrawn by
/// the cost of what cannot be stopped (attaching, detaching), which is waited for before the next window.
public struct Governor: Sendable {
  public struct Settings: Sendable, Hashable {
    /// The share of a CPU that may be added for the target: 0.01 is 1 %.
    public var budget: Double
    /// What one hit of a probe costs the target, in seconds of CPU, measured on this machine.
    public var secondsPerHit: Double
    /// What attaching and detaching cost the target, in seconds of CPU a window.
    public var secondsPerWindow: Double
    /// The shortest time in place that is worth an attach, and the longest, in seconds.
    public var shortestWindow: Double
    public var longestWindow: Double
    /// The shortest and the longest time between two windows, in seconds.
    public var shortestPause: Double
    public var longestPause: Double
    /// The most that may be saved up, in seconds of time at the full budget.
    public var savings: Double
    /// By how much a window may be longer than the one before it.
    public var recovery: Double

    public init(
      budget: Double = 0.01, secondsPerHit: Double, secondsPerWindow: Double = 0.001,
      shortestWindow: Double = 0.010, longestWindow: Double = 10, shortestPause: Double = 0.050,
      longestPause: Double = 60, savings: Double = 10, recovery: Double = 1.25
    ) {
      self.budget = budget
      self.secondsPerHit = secondsPerHit
      self.secondsPerWindow = secondsPerWindow
      self.shortestWindow = shortestWindow
      self.longestWindow = longestWindow
      self.shortestPause = shortestPause
      self.longestPause = longestPause
      self.savings = savings
      self.recovery = recovery
    }
  }

  /// What has happened since the last decision: a window, if there was one, and the pause after it.
  public struct Interval: Sendable, Hashable {
    /// Seconds that have passed, in all, and with the probes in place.
    public var seconds: Double
    public var secondsInPlace: Double
    /// Hits of the probes.
    public var hits: UInt64
    /// Seconds of CPU that drip itself has used for this target.
    public var ownCPU: Double
    /// Seconds of CPU that the target has used, with what the probes cost it.
    public var targetCPU: Double

    public init(seconds: Double, secondsInPlace: Double, hits: UInt64, ownCPU: Double, targetCPU: Double) {
      self.seconds = seconds
      self.secondsInPlace = secondsInPlace
      self.hits = hits
      self.ownCPU = ownCPU
      self.targetCPU = targetCPU
    }
  }

  /// What to do next.
  public struct Decision: Sendable, Hashable {
    /// Seconds without probes, then seconds with them; no window if that is 0.
    public var pause: Double
    public var window: Double
    /// Hits after which the window has to end, however much of its time is left. The one that counts them sees them
    /// late; `Governor.allowance(_:reading:)` says how much earlier to stop.
    public var allowance: UInt64

    public init(pause: Double, window: Double, allowance: UInt64) {
      self.pause = pause
      self.window = window
      self.allowance = allowance
    }
  }

  public let settings: Settings
  public private(set) var spending = Spending()
  /// Seconds of CPU that may be spent now; below 0 after a window that cost more than was there.
  public private(set) var account = 0.0
  /// Hits a second in place. It follows a rise at once, and a fall slowly.
  public private(set) var rate: Double?
  private var lastWindow: Double

  public init(_ settings: Settings) {
    self.settings = settings
    lastWindow = settings.shortestWindow
  }

  /// The share of each second that may be spent: of the target's own CPU time if that is known, but the target of a
  /// quiet interval may wake at any time, so no less than a twentieth of a CPU counts as its use.
  private func allowed(_ interval: Interval) -> Double {
    let own = max(0, interval.targetCPU - Double(interval.hits) * settings.secondsPerHit)
    return settings.budget * max(own, 0.05 * interval.seconds)
  }

  /// Takes in what has happened and says what to do next.
  public mutating func decide(after interval: Interval) -> Decision {
    let cost = self.cost(of: interval)
    let allowed = self.allowed(interval)
    spending.add(interval, cost: cost, allowed: allowed)
    // What can be saved up is that of this interval's kind: a busy hour does not pay for a quiet one.
    let second = interval.seconds > 0 ? allowed / interval.seconds : settings.budget * 0.05
    account = min(account + allowed - cost, second * settings.savings)
    learn(interval)
    return plan(income: second)
  }

  private func cost(of interval: Interval) -> Double {
    let attached = interval.secondsInPlace > 0 ? settings.secondsPerWindow : 0
    return Double(interval.hits) * settings.secondsPerHit + attached + interval.ownCPU
  }

  private mutating func learn(_ interval: Interval) {
    guard interval.secondsInPlace > 0 else { return }
    let seen = Double(interval.hits) / interval.secondsInPlace
    // The highest of late is what the next window has to reckon with.
    rate = max(seen, (rate ?? seen) * 0.9 + seen * 0.1)
  }

  private mutating func plan(income: Double) -> Decision {
    let perSecond = max(rate ?? 0, 1) * settings.secondsPerHit
    // Before anything is known of the rate the shortest window has to do.
    let wanted = rate == nil ? settings.shortestWindow : lastWindow * settings.recovery
    let affordable = (settings.savings * income - settings.secondsPerWindow) / perSecond
    let window = min(wanted, affordable, settings.longestWindow)
    guard window >= settings.shortestWindow else {
      // Not even the shortest window can be saved up for at this rate: ask again later with an allowance so small
      // that its hits are paid for, and end the window by that.
      lastWindow = settings.shortestWindow
      let hits = max(0, settings.savings * income - settings.secondsPerWindow) / settings.secondsPerHit
      let pause = wait(for: settings.savings * income, income)
      return Decision(
        pause: pause, window: hits >= 1 ? settings.shortestWindow : 0, allowance: UInt64(hits))
    }
    lastWindow = window
    let price = window * perSecond + settings.secondsPerWindow
    let pause = wait(for: price, income)
    // All that is there by then may be used, up to twice what is reckoned with.
    let there = min(account + pause * income, 2 * price) - settings.secondsPerWindow
    return Decision(
      pause: pause, window: window, allowance: UInt64(max(1, there / settings.secondsPerHit)))
  }

  /// Seconds until the account has so much, within the limits of a pause.
  private func wait(for price: Double, _ income: Double) -> Double {
    guard income > 0 else { return settings.longestPause }
    return min(max((price - account) / income, settings.shortestPause), settings.longestPause)
  }

  /// The hits at which to stop a window whose hits are read every `reading` seconds, so that the next reading is
  /// still within the allowance if the rate stays as it is seen now.
  public static func allowance(_ allowance: UInt64, rate: Double, reading seconds: Double) -> UInt64 {
    let late = rate * seconds
    guard late.isFinite, late >= 0 else { return 0 }
    return late >= Double(allowance) ? 0 : allowance - UInt64(late)
  }
}

/// Probes that are in place for a part of the time only, so that the target bears them: for `on` in each `period`
/// on average. All times are nanoseconds of one monotonic clock.
public struct DutyCycle: Sendable, Hashable {
  public let on: UInt64
  public let period: UInt64

  /// Attaching takes some 8 ms and detaching 30 to 50 ms (uprobe_multi, measured on Linux 6.18). The target
  /// bears the probes then, and little of it is seen.
  public static let shortestOn: UInt64 = 10_000_000
  /// Between the end of a window and the next, for the detaching.
  public static let shortestOff: UInt64 = 50_000_000
  public static let longestPeriod: UInt64 = 3_600_000_000_000

  public enum Invalid: Error, Sendable, Hashable, CustomStringConvertible {
    case syntax(String)
    case tooShort(String)
    case noPause(String)
    case tooLong(String)

    public var description: String {
      switch self {
      case .syntax(let text): "\(text) is no duty cycle; write ON/PERIOD, as in 100ms/1s"
      case .tooShort(let text): "\(text): probes must be in place for at least 10 ms at a time"
      case .noPause(let text):
        "\(text): the period must be at least 50 ms longer than the time in place, for probes to be taken off"
      case .tooLong(let text): "\(text): a period of more than an hour"
      }
    }
  }

  /// Parses "100ms/1s": two whole numbers with the units ms, s, min or h.
  public init(_ text: String) throws(Invalid) {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count == 2, let on = Self.duration(halves[0]), let period = Self.duration(halves[1]) else {
      throw .syntax(text)
    }
    guard period <= Self.longestPeriod else { throw .tooLong(text) }
    guard on >= Self.shortestOn else { throw .tooShort(text) }
    guard on <= period, period - on >= Self.shortestOff else { throw .noPause(text) }
    self.on = on
    self.period = period
  }

  private static func duration(_ text: Substring) -> UInt64? {
    let digits = text.prefix { ("0"..."9").contains($0) }
    let units: [Substring: UInt64] = [
      "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000, "h": 3_600_000_000_000,
    ]
    guard let number = UInt64(digits), let unit = units[text[digits.endIndex...]] else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit)
    return overflow ? nil : product
  }

  /// The windows of a capture that begins at `start`.
  public func schedule(from start: UInt64) -> Schedule { Schedule(self, start) }

  /// The windows one after the other. The first begins at once, and each of the others after a pause of random
  /// length, so that their places run through all phases of whatever the program does regularly: a fixed beat
  /// would see the same part of it every time. (Random places in periods of a fixed beat would not do either: the
  /// edges of the periods would be covered less.) The pauses follow from their numbers: a schedule can be had
  /// again.
  public struct Schedule: Sendable, Hashable {
    private let cycle: DutyCycle
    private var begin: UInt64
    private var number: UInt64 = 0

    init(_ cycle: DutyCycle, _ start: UInt64) {
      self.cycle = cycle
      begin = start
    }

    /// Whether probes are to be in place at `now`. Moments are asked about in ascending order: what is over is
    /// forgotten, and reads as a pause.
    public mutating func state(at now: UInt64) -> State {
      while now >= begin + cycle.on {
        number += 1
        begin += cycle.on + cycle.pause(before: number)
      }
      return now < begin
        ? State(isOn: false, nextChange: begin) : State(isOn: true, nextChange: begin + cycle.on)
    }
  }

  public struct State: Sendable, Hashable {
    public var isOn: Bool
    /// When that changes: always later than the moment asked about.
    public var nextChange: UInt64

    public init(isOn: Bool, nextChange: UInt64) {
      self.isOn = isOn
      self.nextChange = nextChange
    }
  }

  /// The pause before a window, evenly distributed from the shortest possible on, so that its mean is what is left
  /// of a period.
  private func pause(before number: UInt64) -> UInt64 {
    // The finisher of SplitMix64 (Steele, Lea and Flood, 2014).
    var mixed = number &* 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    mixed ^= mixed >> 31
    let room = 2 * (period - on - Self.shortestOff) + 1
    return Self.shortestOff + mixed % room
  }
}

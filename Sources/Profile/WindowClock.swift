/// How long probes really were in place, whatever the schedule wanted: attaching and detaching take their time.
/// Times are nanoseconds of one monotonic clock.
public struct WindowClock: Sendable, Hashable {
  /// When the capture began.
  public let start: UInt64
  /// Windows that were opened.
  public private(set) var windows: UInt64 = 0
  private var closed: UInt64 = 0
  private var opened: UInt64?

  public init(start: UInt64) { self.start = start }

  /// All probes are in place, from `now` on. Of an open window, nothing.
  public mutating func open(at now: UInt64) {
    guard opened == nil else { return }
    opened = now
    windows += 1
  }

  /// Counting has stopped.
  public mutating func close(at now: UInt64) {
    closed = onTime(at: now)
    opened = nil
  }

  /// For how long allocations were seen.
  public func onTime(at now: UInt64) -> UInt64 {
    guard let opened, now > opened else { return closed }
    return closed + (now - opened)
  }

  /// What counts and bytes of allocations are multiplied by, to stand for the whole capture; nil before anything
  /// was seen. Exact only for a program whose rates are the same outside of the windows. For outstanding objects
  /// it makes an upper bound of an upper bound; frees must not be scaled at all, since those of objects from
  /// earlier windows are seen with the windows' own probability.
  public func scale(at now: UInt64) -> Double? {
    let seen = onTime(at: now)
    guard seen > 0, now > start else { return nil }
    return max(Double(now - start) / Double(seen), 1)
  }

  /// What a capture in windows can say and what it cannot, in whole sentences for every report.
  public func statement(at now: UInt64) -> [String] {
    let (seen, elapsed) = (onTime(at: now), now > start ? now - start : 0)
    guard let scale = scale(at: now) else {
      return ["Probes have not been in place yet, so nothing is known."]
    }
    return [
      "Probes were in place for \(Quantities.age(Double(seen) / 1e9)) of "
        + "\(Quantities.age(Double(elapsed) / 1e9)) (\(Quantities.percent(seen, of: elapsed))), in "
        + "\(Quantities.count(windows)) \(windows == 1 ? "window" : "windows").",
      "Allocations within the windows are counted exactly; multiplied by "
        + "\(Quantities.fixed(scale, decimals: 2)) they estimate those of the whole time, as far as the program "
        + "did the same outside of the windows.",
      "Frees outside of the windows are not seen, so what is shown as outstanding is an upper bound for the "
        + "blocks allocated within the windows. Of blocks allocated outside of them nothing is known.",
      "An address that is handed out again in a later window proves that its older block was freed; that block "
        + "is counted as freed.",
    ]
  }
}

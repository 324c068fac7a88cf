import Profile

extension Verdict {
  /// The verdict in one sentence, with the figures that matter, without the level.
  public var sentence: String {
    switch level {
    case .leak, .likely, .watch: ([growth] + kept + held + outlook).joined(separator: "; ")
    case .warmingUp:
      "too early to tell: \(span(evidence.watchedSeconds)) watched, holds \(holding)\(occasions)"
    case .bounded: "holds \(holding); \(bound)"
    case .steady: "holds \(holding) and does not grow"
    }
  }

  /// What a suspicion rests on; nil without one.
  public var basis: String? {
    guard level >= .watch else { return nil }
    var parts = ["\(span(evidence.watchedSeconds)) watched"]
    if evidence.spanSeconds < 0.75 * evidence.watchedSeconds {
      parts.append("growing since \(span(evidence.spanSeconds)) ago")
    }
    parts.append(Self.count(Double(evidence.survivors), "survivor"))
    parts.append("in \(Self.count(evidence.groups.rounded(.down), "independent group"))")
    if let reachability = evidence.reachability { parts.append(Self.search(reachability)) }
    return "rests on " + parts.joined(separator: ", ")
  }

  /// What would show that a suspicion is wrong; nil without one.
  public var refutation: String? {
    guard level >= .watch else { return nil }
    if isProved {
      return
        "refuted if the program finds the objects by other means than pointers to them, as compressed or xored ones"
    }
    let frees = "refuted if objects older than \(span(evidence.ageSeconds)) are freed"
    if evidence.test.outcome == .stalled {
      return
        "until lately all was freed and now nothing is: somebody may have stopped to clear up for a while; "
        + frees
    }
    // Statistics see no further than a share of the watch.
    let horizon = "a cache that takes longer than \(span(evidence.spanSeconds / 3)) to fill looks the same"
    return evidence.freed == 0
      ? "it has not freed anything yet, and a cache that is still filling looks the same; " + frees
      : "\(horizon); \(frees)"
  }

  /// Level, sentence, basis and refutation, as lines without newlines.
  public var words: [String] {
    ["\(level.rawValue): \(sentence)"] + [basis, refutation].compactMap { $0 }
  }

  private var isProved: Bool { evidence.reachability?.isProof == true }

  private var growth: String {
    guard let growth = evidence.growth else { return "holds \(holding)" }
    let intervals = evidence.intervals
    let text = "grows " + RateWords.rate(growth.bytesPerSecond, interval: growth.interval)
    guard intervals.seen > 0 else { return text }
    let steadily = intervals.grown * 10 >= intervals.seen * 8 ? "steadily for" : "in"
    return "\(text), \(steadily) \(intervals.grown) of \(intervals.seen) intervals"
  }

  /// What survives: of all, if that is most; otherwise of those that got old, which is what is telling then.
  private var kept: [String] {
    guard evidence.survivors > 0 else { return [] }
    let age = span(evidence.ageSeconds)
    if let share = evidence.keptShare, share >= 0.5 {
      return ["of what it allocated over \(age) ago \(Self.percent(share)) is still there"]
    }
    let old = Double(evidence.survivors) + evidence.deaths
    return [
      "of \(Quantities.count(UInt64(old))) objects that got older than \(age), \(Quantities.count(UInt64(evidence.survivors))) are still there"
    ]
  }

  private var held: [String] {
    guard let found = evidence.reachability, found.inspected > 0 else { return [] }
    let all = "of \(found.inspected) inspected objects"
    if found.lost == 0 {
      let holder = found.exampleHolder.map { ", one of them from \($0)" } ?? ""
      return ["\(found.reachable) \(all) are reachable\(holder)"]
    }
    guard found.onlyFromSuspects > 0 else { return ["\(found.unreachable) \(all) are unreachable"] }
    return [
      "\(found.unreachable) \(all) are unreachable and \(found.onlyFromSuspects) more reachable from lost ones only"
    ]
  }

  private var outlook: [String] {
    guard let outlook = evidence.outlook, evidence.isMaterial, outlook.seconds < 30 * 86_400 else {
      return []
    }
    guard outlook.limit.headroom > 0 else { return ["\(outlook.limit.name) is reached"] }
    return ["at this rate \(outlook.limit.name) is reached in \(span(outlook.seconds))"]
  }

  private var occasions: String {
    guard evidence.groups >= 1 else { return "" }
    return ", grew on \(Self.count(evidence.groups.rounded(.down), "occasion")) that may be independent"
  }

  private var bound: String {
    switch evidence.test.outcome {
    case .dies:
      "what gets older than \(span(evidence.ageSeconds)) is freed later in \(Self.percent(evidence.test.deathShare)) of cases"
    case .slows: "less and less of what it allocates is kept"
    case .stopped: "nothing of what it has allocated lately is kept"
    case .open, .fewSurvivors, .stalled: "it does not grow"
    }
  }

  private var holding: String {
    let objects = Self.count(Double(evidence.outstandingCount), "object")
    return "\(Quantities.bytes(evidence.outstandingBytes)) in \(objects)"
  }

  private static func search(_ found: Reachability) -> String {
    found.isStopped
      ? "a search of its memory while it was stopped"
      : "\(found.scans) \(found.scans == 1 ? "search" : "searches") of its memory while it ran"
  }

  private static func count(_ value: Double, _ noun: String) -> String {
    "\(Quantities.count(UInt64(max(value, 0)))) \(noun)\(value == 1 ? "" : "s")"
  }

  /// Never rounds a few exceptions away: 99.96 % is not all.
  private static func percent(_ share: Double) -> String {
    let text = Quantities.fixed(share * 100, decimals: 0)
    if text == "100", share < 1 { return "over 99 %" }
    return text == "0" && share > 0 ? "under 1 %" : text + " %"
  }

  private func span(_ seconds: Double) -> String { RateWords.span(seconds) }
}

/// Rates and times as verdicts say them: no digits that nobody believes.
enum RateWords {
  /// "1.2 MiB/min (95 % 1.1–1.3)", of a rate and an interval in bytes per second.
  static func rate(_ bytesPerSecond: Double, interval: ClosedRange<Double>) -> String {
    // What is little in a minute is told by the hour.
    let (seconds, unit) = bytesPerSecond * 60 >= 1024 ? (60.0, "min") : (3600.0, "h")
    var scale = 1.0
    var name = "B"
    for larger in ["KiB", "MiB", "GiB", "TiB"] where bytesPerSecond * seconds / scale >= 1000 {
      scale *= 1024
      name = larger
    }
    let factor = seconds / scale
    let decimals = bytesPerSecond * factor < 10 ? 1 : 0
    let ends = [interval.lowerBound, interval.upperBound].map {
      Quantities.fixed($0 * factor, decimals: decimals)
    }
    return
      "\(Quantities.fixed(bytesPerSecond * factor, decimals: decimals)) \(name)/\(unit) (95 % \(ends[0])–\(ends[1]))"
  }

  /// Whole seconds below a minute, minutes and hours without a remainder of nothing: "45 s", "5 min", "3 h 20 min".
  static func span(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 1, seconds < 1e9 else { return Quantities.age(seconds) }
    let whole = Int(seconds.rounded())
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    guard let first = units.firstIndex(where: { whole >= $0.0 }) else { return "\(whole) s" }
    var text = "\(whole / units[first].0) \(units[first].1)"
    guard first + 1 < units.count else { return text }
    let rest = whole % units[first].0 / units[first + 1].0
    // From ten minutes on seconds are noise.
    if rest > 0, units[first].0 != 60 || whole < 600 { text += " \(rest) \(units[first + 1].1)" }
    return text
  }
}

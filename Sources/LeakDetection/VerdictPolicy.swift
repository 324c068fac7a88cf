/// What each level asks for. A level never claims more than the time watched allows: whatever lives longer than that
/// looks like a leak.
public struct VerdictPolicy: Sendable, Hashable {
  /// 4 KiB an hour.
  public static let floorBytesPerSecond = 4096.0 / 3600

  /// Of the suspected sites, the share that may be so by chance.
  public var falseDiscoveryRate = 0.02
  /// No probability above it makes a suspicion, however few sites there are. Without deaths it takes seven groups. Both
  /// are loose: what is wrong with suspicions is rarely chance, and chosen on the development set of `make evaluate`.
  public var probabilityCap = 5e-3
  /// Seconds. Before that nothing is said.
  public var warmUp = 60.0
  /// Seconds of evidence for `likely`; and of a site that had not freed anything when the watch was half as long: what
  /// gets full just now begins to free just now.
  public var likely = 20 * 60.0
  public var likelyWithoutFrees = 30 * 60.0
  /// The same where a search has found besides that the program still holds what the site has made: nothing ever freed and
  /// all of it held is what a cache, a log or a table is until it is full, and a leak is more rarely.
  public var likelyWithoutFreesHeld = 45 * 60.0
  /// Seconds of evidence for `leak` without proof; and of a site that is known not to keep things long, because
  /// some were freed at an age when the watch was half as old, and hardly any at a higher age since.
  public var leak = 60 * 60.0
  public var leakWithKnownAges = 40 * 60.0
  /// Deaths at a thirty-second part of the watch, or later, that make ages known.
  public var maturedDeaths = 10.0
  /// Evidence of so much of the time that is asked for is enough: the first survivors take a while to come.
  public var slack = 0.9

  public init() {}

  /// The level that the evidence is worth.
  public func level(_ evidence: Evidence) -> Verdict.Level {
    if isProved(evidence) { return .leak }
    if evidence.watchedSeconds < warmUp { return .warmingUp }
    if evidence.isSuspected && evidence.isMaterial { return suspicion(evidence) }
    switch evidence.test.outcome {
    case .stalled: return evidence.isMaterial ? .watch : .steady
    case .open where evidence.watchedSeconds >= likely && isNearlySuspected(evidence): return .watch
    case .open: return isAtRest(evidence) ? .steady : .warmingUp
    case .fewSurvivors: return .steady
    // What is at rest is steady, whatever it was before.
    case .dies, .slows, .stopped: return isAtRest(evidence) ? .steady : .bounded
    }
  }

  /// Lost objects, of which there are more all the time. A handful that was lost at the start is no matter.
  private func isProved(_ evidence: Evidence) -> Bool {
    guard evidence.reachability?.isProof == true, evidence.isMaterial else { return false }
    return evidence.groups >= 3 && evidence.test.outcome != .stopped
  }

  private func suspicion(_ evidence: Evidence) -> Verdict.Level {
    // Upwards only with a second look; downwards at once.
    guard evidence.wasSuspected.atLastLook else { return .watch }
    let span = evidence.spanSeconds
    if evidence.wasSuspected.sinceHalf {
      let knowsAges = evidence.wasSuspected.knewAgesAtHalf && evidence.reachability?.isHeld != true
      if span >= slack * (knowsAges ? leakWithKnownAges : leak) { return .leak }
    }
    return span >= slack * secondsForLikely(evidence) ? .likely : .watch
  }

  private func secondsForLikely(_ evidence: Evidence) -> Double {
    if evidence.wasSuspected.hadFreedAtHalf { return likely }
    return evidence.reachability?.isHeld == true ? likelyWithoutFreesHeld : likelyWithoutFrees
  }

  private func isAtRest(_ evidence: Evidence) -> Bool { evidence.intervals.laterChange.magnitude < 0.02 }

  /// Survivors keep coming in several groups, but too few to be sure.
  private func isNearlySuspected(_ evidence: Evidence) -> Bool {
    evidence.groups >= 5 && (evidence.growth?.interval.lowerBound ?? 0) >= evidence.floorBytesPerSecond
  }
}

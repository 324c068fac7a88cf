public import Profile

/// What is thought of sites, by their numbers.
public struct SiteJudgements: Sendable {
  public var verdicts: [UInt32: Verdict]
  /// What a search for pointers has found.
  public var reachability: [UInt32: Reachability]

  public init(verdicts: [UInt32: Verdict] = [:], reachability: [UInt32: Reachability] = [:]) {
    self.verdicts = verdicts
    self.reachability = reachability
  }

  /// The gravest verdict on what is shown as one site; nil if there is none.
  public func verdict(_ site: Site) -> Verdict? {
    site.ids.compactMap { verdicts[$0] }.min(by: Verdict.isGraver)
  }

  public func reachability(_ site: Site) -> Reachability? {
    Reachability.combined(site.ids.compactMap { reachability[$0] })
  }
}

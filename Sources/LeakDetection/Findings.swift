public import Profile

/// What a dump saw, in sentences that claim no more than that.
public enum Findings {
  /// Growth below this is noise to a reader: 4 KiB an hour.
  private static let floorBytesPerSecond = 4096.0 / 3600

  /// A verdict, the site with the most growth, and what the watch cannot tell. Lines without newlines.
  public static func summarise(profile: HeapProfile, judged: SiteJudgements = SiteJudgements()) -> [String] {
    guard profile.totals.allocs > 0 else { return ["Nothing was allocated while drip watched."] }
    if let lines = suspects(profile, judged) { return lines + doubt(profile) }
    let watched = Quantities.age(profile.capture.seconds)
    guard profile.sites.isEmpty || profile.sites.contains(where: { $0.growthBytesPerSecond != nil }) else {
      return ["\(watched) are too short to tell growth from the ebb and flow of a busy program."]
    }
    return verdict(profile, watched) + doubt(profile)
  }

  private static func doubt(_ profile: HeapProfile) -> [String] {
    profile.losses.total > 0
      ? ["  Not every call was counted (see the losses): these figures may be off."] : []
  }

  /// The gravest of the call sites that are leaks, or likely to be; nil if none is.
  private static func suspects(_ profile: HeapProfile, _ judged: SiteJudgements) -> [String]? {
    let all = profile.sites.compactMap { site in judged.verdict(site).map { (site: site, verdict: $0) } }
      .filter { $0.verdict.level >= .likely }.sorted { Verdict.isGraver($0.verdict, $1.verdict) }
    guard let gravest = all.first else { return nil }
    let leaks = all.count { $0.verdict.level == .leak }
    let others = all.count - leaks
    var parts: [String] = []
    if leaks > 0 {
      parts.append(leaks == 1 ? "one call site leaks" : "\(Quantities.count(UInt64(leaks))) call sites leak")
    }
    if others > 0 {
      let many =
        leaks > 0
        ? "\(Quantities.count(UInt64(others))) more"
        : "\(Quantities.count(UInt64(others))) call \(others == 1 ? "site" : "sites")"
      parts.append("\(many) likely \(others == 1 ? "leaks" : "leak")")
    }
    let text = parts.joined(separator: ", ")
    return [
      text.prefix(1).uppercased() + text.dropFirst() + (all.count > 1 ? "; the gravest:" : ":"),
      "  \(CallSite.name(gravest.site.frames)): \(gravest.verdict.words[0])",
    ]
  }

  private static func verdict(_ profile: HeapProfile, _ watched: String) -> [String] {
    // No word about call sites that a row limit leaves out.
    let extent = profile.omittedSites > 0 ? "of the call sites shown" : "call sites"
    let growing = profile.sites.filter { ($0.growthBytesPerSecond ?? 0) > floorBytesPerSecond }
    let fastest = growing.max { ($0.growthBytesPerSecond ?? 0) < ($1.growthBytesPerSecond ?? 0) }
    guard let fastest, let rate = fastest.growthBytesPerSecond else {
      return [
        profile.omittedSites > 0
          ? "No call site shown grew over the later half of \(watched)."
          : "No call site grew over the later half of \(watched)."
      ]
    }
    let count = Quantities.count(UInt64(growing.count))
    return [
      growing.count == 1
        ? "One call site\(profile.omittedSites > 0 ? " of those shown" : "") grew over the later half of \(watched):"
        : "\(count) \(extent) grew over the later half of \(watched); the fastest:",
      "  \(describe(fastest, rate, of: profile.totals))",
      "  \(watched) cannot tell a leak from a cache that is still filling: watch longer if the growth matters.",
    ]
  }

  private static func describe(_ site: Site, _ rate: Double, of totals: Totals) -> String {
    let times = site.allocs == 1 ? "once" : "\(Quantities.count(site.allocs)) times"
    let objects =
      site.outstandingCount == 1 ? "1 object" : "\(Quantities.count(site.outstandingCount)) objects"
    let share = Quantities.percent(site.outstandingBytes, of: totals.outstandingBytes)
    var text =
      "\(CallSite.name(site.frames)) by \(Quantities.rate(rate)). It allocated \(times) and freed \(Quantities.count(site.frees)) of those; it holds \(Quantities.bytes(site.outstandingBytes)) in \(objects), \(share) of all that is outstanding"
    if let oldest = site.oldestSeconds { text += ", the oldest for \(Quantities.age(oldest))" }
    return text + "."
  }
}

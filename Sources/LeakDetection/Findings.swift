public import Profile

/// What a dump saw, in sentences that claim no more than that.
public enum Findings {
  /// Growth below this is noise to a reader: 4 KiB an hour.
  private static let floorBytesPerSecond = 4096.0 / 3600

  /// A verdict, the site with the most growth, and what the watch cannot tell.
  public static func summarise(profile: HeapProfile) -> [String] {
    guard profile.totals.allocs > 0 else {
      return ["Nothing was allocated while drip watched."]
    }
    let growing = profile.sites.filter { ($0.growthBytesPerSecond ?? 0) > floorBytesPerSecond }
      .sorted { ($0.growthBytesPerSecond ?? 0) > ($1.growthBytesPerSecond ?? 0) }
    let watched = Quantities.age(profile.capture.seconds)
    guard profile.sites.contains(where: { $0.growthBytesPerSecond != nil }) else {
      return ["\(watched) are too short to tell growth from the ebb and flow of a busy program."]
    }
    guard let first = growing.first, let rate = first.growthBytesPerSecond else {
      return ["No call site shown grew over the later half of \(watched)."]
    }
    var lines = [
      growing.count == 1
        ? "One call site grew over the later half of \(watched):"
        : "\(growing.count) of the call sites shown grew over the later half of \(watched); the fastest:"
    ]
    lines.append(
      "  \(CallSite.name(first.frames)) by \(Quantities.rate(rate)). It allocated \(Quantities.count(first.allocs)) times and freed \(Quantities.count(first.frees)) of those; it holds \(Quantities.bytes(first.outstandingBytes)) in \(objects(first.outstandingCount)), \(Quantities.percent(first.outstandingBytes, of: profile.totals.outstandingBytes)) of all that is outstanding."
    )
    lines.append("  \(watched) cannot tell a leak from a cache that is still filling: watch longer if the growth matters.")
    return lines
  }

  private static func objects(_ count: UInt64) -> String {
    count == 1 ? "1 object" : "\(Quantities.count(count)) objects"
  }
}

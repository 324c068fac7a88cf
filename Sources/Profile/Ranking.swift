/// What sites are ordered by, largest first.
public enum SortKey: String, Sendable, Hashable, CaseIterable {
  case bytes
  case count
  case age
  case growth
}

extension SortKey {
  /// Whether one site comes before another; false both ways for equals.
  public func puts(_ a: Site, before b: Site) -> Bool {
    switch self {
    case .bytes: break
    case .count:
      if a.outstandingCount != b.outstandingCount { return a.outstandingCount > b.outstandingCount }
    case .age:
      let (x, y) = (a.oldestSeconds ?? -1, b.oldestSeconds ?? -1)
      if x != y { return x > y }
    case .growth:
      let (x, y) = (a.growthBytesPerSecond ?? 0, b.growthBytesPerSecond ?? 0)
      if x != y { return x > y }
    }
    return a.outstandingBytes > b.outstandingBytes
  }

  /// The sites in this order; equals stay as they were.
  public func sorted(_ sites: [Site]) -> [Site] {
    sites.enumerated().sorted {
      if puts($0.element, before: $1.element) { return true }
      return !puts($1.element, before: $0.element) && $0.offset < $1.offset
    }.map(\.element)
  }
}

/// Which sites of a snapshot are shown, in which order, and what is left out. Pure.
public struct Ranking: Sendable, Hashable {
  /// A site with the figures that a reader sees: those that pass the age filter.
  public struct Entry: Sendable, Hashable {
    public var site: SiteCounts
    public var outstandingBytes: UInt64
    public var outstandingCount: UInt64
    public var growthBytesPerSecond: Double?
  }

  public var entries: [Entry]
  public var totals: Totals
  public var omittedSites: Int
  public var omittedBytes: UInt64
  public var omittedCount: UInt64

  /// Ranks the sites that have something outstanding, and with `includesIdle` those that have freed all. With `isAgeFiltered` the outstanding figures are those
  /// of the live table's old objects; otherwise those of the exact counters. Equal sites are ordered by id,
  /// so that the same snapshot always gives the same report.
  public init(
    _ snapshot: Snapshot, by key: SortKey, limit: Int?, isAgeFiltered: Bool = false,
    includesIdle: Bool = false, growth: [UInt32: Double] = [:]
  ) {
    var totals = Totals()
    var all: [Entry] = []
    for site in snapshot.sites {
      let entry = Entry(
        site: site, outstandingBytes: isAgeFiltered ? site.agedBytes : site.outstandingBytes,
        outstandingCount: isAgeFiltered ? site.agedCount : site.outstandingCount,
        growthBytesPerSecond: growth[site.id])
      totals.outstandingBytes &+= entry.outstandingBytes
      totals.outstandingCount &+= entry.outstandingCount
      totals.allocs &+= site.allocs
      totals.frees &+= site.frees
      totals.allocatedBytes &+= site.allocatedBytes
      if entry.outstandingCount > 0 || includesIdle && site.allocs > 0 { all.append(entry) }
    }
    all.sort { Self.isBefore($0, $1, key) }
    let shown = limit.map { min(max($0, 0), all.count) } ?? all.count
    entries = Array(all[..<shown])
    self.totals = totals
    omittedSites = all.count - shown
    omittedBytes = all[shown...].reduce(0) { $0 &+ $1.outstandingBytes }
    omittedCount = all[shown...].reduce(0) { $0 &+ $1.outstandingCount }
  }

  private static func isBefore(_ a: Entry, _ b: Entry, _ key: SortKey) -> Bool {
    switch key {
    case .bytes: break
    case .count:
      if a.outstandingCount != b.outstandingCount { return a.outstandingCount > b.outstandingCount }
    case .age:
      let (x, y) = (a.site.oldestSeconds ?? -1, b.site.oldestSeconds ?? -1)
      if x != y { return x > y }
    case .growth:
      let (x, y) = (a.growthBytesPerSecond ?? 0, b.growthBytesPerSecond ?? 0)
      if x != y { return x > y }
    }
    if a.outstandingBytes != b.outstandingBytes { return a.outstandingBytes > b.outstandingBytes }
    return a.site.id < b.site.id
  }
}

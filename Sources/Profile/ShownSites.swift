/// The named sites of a capture and what is left out beside them, narrowed step by step to what a report shows.
public struct ShownSites: Sendable {
  public var sites: [Site] = []
  public private(set) var omittedSites: Int
  public private(set) var omittedBytes: UInt64
  public private(set) var omittedCount: UInt64

  /// What a ranking leaves out; its sites are still to be named.
  public init(_ ranking: Ranking) {
    omittedSites = ranking.omittedSites
    omittedBytes = ranking.omittedBytes
    omittedCount = ranking.omittedCount
  }

  /// Applies a view, then the limit that had to wait for it.
  public mutating func apply(_ view: StackView, sort: SortKey, limit: Int?) -> ViewSummary {
    guard !view.isPlain else { return ViewSummary() }
    let (shown, summary) = view.apply(sites)
    sites = sort.sorted(shown)
    cut(to: limit)
    return summary
  }

  /// Sites that map memory: each with its origin, which the frames tell before any are folded.
  public mutating func mapped(
    _ view: StackView, sort: SortKey, limit: Int?, allocators: Set<String>, totals: Totals
  ) -> (memory: MappedMemory, summary: ViewSummary) {
    var origins: [MappingOrigin] = sites.map { MappingOrigin($0.frames, allocators: allocators) }
    var summary = ViewSummary()
    if !view.isPlain {
      var entries: [MappedMemory.Entry] = []
      for origin in MappingOrigin.allCases {
        let own = zip(sites, origins).filter { $0.1 == origin }.map(\.0)
        let (shown, left) = view.apply(own)
        summary.foldedFrames += left.foldedFrames
        entries += shown.map { MappedMemory.Entry(origin: origin, site: $0) }
      }
      entries.sort { sort.puts($0.site, before: $1.site) }
      sites = entries.map(\.site)
      origins = entries.map(\.origin)
      cut(to: limit)
    }
    let entries = zip(sites, origins).map { MappedMemory.Entry(origin: $1, site: $0) }
    let memory = MappedMemory(
      totals: totals, entries: entries, omittedSites: omittedSites, omittedBytes: omittedBytes)
    return (memory, summary)
  }

  /// Leaves out all but the first `limit` sites.
  public mutating func cut(to limit: Int?) {
    guard let limit, limit < sites.count else { return }
    let hidden = sites[max(limit, 0)...]
    omittedSites += hidden.count
    omittedBytes = hidden.reduce(omittedBytes) { $0 &+ $1.outstandingBytes }
    omittedCount = hidden.reduce(omittedCount) { $0 &+ $1.outstandingCount }
    sites.removeSubrange(max(limit, 0)...)
  }
}

/// The kernel's part of a report: its own sites, sums, tables and losses. Never a part of a process's sums.
public struct KernelProfile: Sendable, Hashable {
  /// What is known of a site besides its counts.
  public struct Detail: Sendable, Hashable {
    public var origin: KernelOrigin
    /// The slab cache, told or inferred from the size; nil for what is from none.
    public var cache: String?
    /// The stack goes through an interrupt: the process that ran has nothing to do with it.
    public var isInterrupt: Bool
    /// Why growth here is no leak, or cannot be told from one, in words; nil where nothing speaks against a verdict.
    public var caveat: String?
    /// Whether the cache's objects in use have grown with what drip counts; nil where that was not looked at.
    public var isCorroborated: Bool?
    /// Blocks of this stack to which the kernel's own leak detector finds no pointer; nil where the kernel has none.
    public var unreferenced: Int?

    public init(
      origin: KernelOrigin, cache: String? = nil, isInterrupt: Bool = false, caveat: String? = nil,
      isCorroborated: Bool? = nil, unreferenced: Int? = nil
    ) {
      self.unreferenced = unreferenced
      self.origin = origin
      self.cache = cache
      self.isInterrupt = isInterrupt
      self.caveat = caveat
      self.isCorroborated = isCorroborated
    }
  }

  /// One of the kernel's slab caches, before and now, and what drip counts of it.
  public struct Cache: Sendable, Hashable {
    public var name: String
    public var aliases: [String]
    public var objectBytes: UInt64
    public var activeBefore: UInt64
    public var activeNow: UInt64
    public var isReclaimable: Bool?
    /// Objects and bytes outstanding of those that were born while drip watched.
    public var trackedCount: UInt64
    public var trackedBytes: UInt64

    public init(
      name: String, aliases: [String] = [], objectBytes: UInt64, activeBefore: UInt64, activeNow: UInt64,
      isReclaimable: Bool? = nil, trackedCount: UInt64 = 0, trackedBytes: UInt64 = 0
    ) {
      self.name = name
      self.aliases = aliases
      self.objectBytes = objectBytes
      self.activeBefore = activeBefore
      self.activeNow = activeNow
      self.isReclaimable = isReclaimable
      self.trackedCount = trackedCount
      self.trackedBytes = trackedBytes
    }

    /// Change of the objects in use.
    public var growth: Int64 { Int64(clamping: activeNow) - Int64(clamping: activeBefore) }
  }

  /// Its sites in the form of every other profile.
  public var profile: HeapProfile
  public var coverage: KernelCoverage
  /// By the ids of the sites.
  public var details: [UInt32: Detail]
  /// Sums of the domains that are no part of the profile's own, where they were watched.
  public var apart: [KernelDomain: Totals]
  /// Caches of which drip counts something, or which have grown; the most tracked first. Empty where the kernel does
  /// not tell.
  public var caches: [Cache]

  public init(
    profile: HeapProfile, coverage: KernelCoverage, details: [UInt32: Detail], caches: [Cache] = [],
    apart: [KernelDomain: Totals] = [:]
  ) {
    self.apart = apart
    self.profile = profile
    self.coverage = coverage
    self.details = details
    self.caches = caches
  }

  /// The sums that a site is a part of.
  public func totals(_ site: Site) -> Totals {
    detail(site).flatMap { apart[$0.origin.domain] } ?? profile.totals
  }

  /// Of the first of the sites that are shown as one.
  public func detail(_ site: Site) -> Detail? { site.ids.lazy.compactMap { details[$0] }.first }
}

/// What kernel sites are added up by.
public enum KernelGrouping: String, Sendable, Hashable, CaseIterable {
  /// Not at all.
  case stack
  case cache
  case module
  case process
}

/// Sites that have something in common, added up.
public struct KernelGroup: Sendable, Hashable {
  public var name: String
  public var outstandingBytes: UInt64 = 0
  public var outstandingCount: UInt64 = 0
  public var allocs: UInt64 = 0
  public var frees: UInt64 = 0
  public var growthBytesPerSecond = 0.0
  public var sites = 0

  public init(name: String) { self.name = name }

  /// The sites of a profile by their cache, module or process; the largest first, equals by name.
  public static func make(_ kernel: KernelProfile, by grouping: KernelGrouping) -> [KernelGroup] {
    var groups: [String: KernelGroup] = [:]
    for site in kernel.profile.sites {
      let name = key(site, kernel.detail(site), grouping)
      var group = groups[name] ?? KernelGroup(name: name)
      group.outstandingBytes &+= site.outstandingBytes
      group.outstandingCount &+= site.outstandingCount
      group.allocs &+= site.allocs
      group.frees &+= site.frees
      group.growthBytesPerSecond += site.growthBytesPerSecond ?? 0
      group.sites += 1
      groups[name] = group
    }
    return groups.values.sorted {
      $0.outstandingBytes != $1.outstandingBytes
        ? $0.outstandingBytes > $1.outstandingBytes : $0.name < $1.name
    }
  }

  private static func key(_ site: Site, _ detail: KernelProfile.Detail?, _ grouping: KernelGrouping) -> String
  {
    guard let detail else { return "(no room for this stack)" }
    switch grouping {
    case .stack: return CallSite.name(site.frames)
    case .cache:
      return detail.cache ?? (detail.origin.domain == .slab ? "(whole pages)" : detail.origin.domain.name)
    case .module: return KernelFrame.owner(site.frames) ?? KernelFrame.module
    case .process:
      if detail.isInterrupt { return "(interrupts)" }
      if detail.origin.isCallerOnly || detail.origin.isMixed { return "(several processes)" }
      return "\(detail.origin.command) (pid \(detail.origin.pid))"
    }
  }
}

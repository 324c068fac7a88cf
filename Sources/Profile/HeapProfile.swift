/// A finished, named picture of a heap: what every report format renders. Symbols are resolved when it
/// is made, so that no reader needs the target's binaries.
public struct HeapProfile: Sendable, Hashable {
  public var dripVersion: String
  public var capture: CaptureInfo
  public var processes: [Target]
  public var totals: Totals
  public var losses: Losses
  public var table: TableUse
  /// What the self-check of stacks has found, where it was on.
  public var checks: StackChecks?
  /// Sites with something to show, in the order asked for.
  public var sites: [Site]
  /// Memory mapped from the kernel, where that was watched: never a part of the sums above.
  public var mapped: MappedMemory?
  /// Whether allocators were watched.
  public var hasHeap: Bool
  /// How the stacks of all sites end, shown or not.
  public var stacks: StackCounts
  /// What the view asked for has left out or put together.
  public var view: ViewSummary
  /// Sites and bytes left out by a row limit, so that a reader can add up.
  public var omittedSites: Int
  public var omittedBytes: UInt64
  public var omittedCount: UInt64

  public init(
    dripVersion: String, capture: CaptureInfo, processes: [Target], totals: Totals, losses: Losses,
    table: TableUse, sites: [Site], omittedSites: Int = 0, omittedBytes: UInt64 = 0, omittedCount: UInt64 = 0,
    mapped: MappedMemory? = nil, hasHeap: Bool = true, checks: StackChecks? = nil,
    stacks: StackCounts = StackCounts(), view: ViewSummary = ViewSummary()
  ) {
    self.checks = checks
    self.mapped = mapped
    self.hasHeap = hasHeap
    self.stacks = stacks
    self.view = view
    self.dripVersion = dripVersion
    self.capture = capture
    self.processes = processes
    self.totals = totals
    self.losses = losses
    self.table = table
    self.sites = sites
    self.omittedSites = omittedSites
    self.omittedBytes = omittedBytes
    self.omittedCount = omittedCount
  }
}

/// Mapped memory by call stack. Counts are of mappings; outstanding counts are of pieces, since a mapping may be
/// unmapped in parts.
public struct MappedMemory: Sendable, Hashable {
  public struct Entry: Sendable, Hashable {
    public var origin: MappingOrigin
    public var site: Site

    public init(origin: MappingOrigin, site: Site) {
      self.origin = origin
      self.site = site
    }
  }

  public var totals: Totals
  public var entries: [Entry]
  public var omittedSites: Int
  public var omittedBytes: UInt64

  public init(totals: Totals, entries: [Entry], omittedSites: Int = 0, omittedBytes: UInt64 = 0) {
    self.totals = totals
    self.entries = entries
    self.omittedSites = omittedSites
    self.omittedBytes = omittedBytes
  }
}

/// When, where and how a capture was taken.
public struct CaptureInfo: Sendable, Hashable {
  /// Start of the capture, in nanoseconds since 1970 (UTC).
  public var startUnixNanoseconds: Int64
  /// Seconds watched.
  public var seconds: Double
  /// The kernel's release, as `uname -r` prints it.
  public var kernel: String
  /// How probes were attached: "uprobe session", "uprobe multi" or "perf uprobe".
  public var backend: String
  /// Why the capture ended, if earlier than asked: "interrupted", "target exited".
  public var ended: String?
  /// Filters in force, in plain words ("objects older than 5 s"); empty if none.
  public var filters: [String]
  /// Functions of which one trap a call told all, by the plainest name of each; empty if none.
  public var oneTrap: [String]
  /// Facts about the capture that a reader should know, in plain words.
  public var notes: [String]

  public init(
    startUnixNanoseconds: Int64, seconds: Double, kernel: String, backend: String, ended: String? = nil,
    filters: [String] = [], oneTrap: [String] = [], notes: [String] = []
  ) {
    self.startUnixNanoseconds = startUnixNanoseconds
    self.seconds = seconds
    self.kernel = kernel
    self.backend = backend
    self.ended = ended
    self.filters = filters
    self.oneTrap = oneTrap
    self.notes = notes
  }
}

/// Sums over all sites, shown or not.
public struct Totals: Sendable, Hashable {
  public var outstandingBytes: UInt64
  public var outstandingCount: UInt64
  public var allocs: UInt64
  public var frees: UInt64
  public var allocatedBytes: UInt64

  public init(
    outstandingBytes: UInt64 = 0, outstandingCount: UInt64 = 0, allocs: UInt64 = 0, frees: UInt64 = 0,
    allocatedBytes: UInt64 = 0
  ) {
    self.outstandingBytes = outstandingBytes
    self.outstandingCount = outstandingCount
    self.allocs = allocs
    self.frees = frees
    self.allocatedBytes = allocatedBytes
  }
}

/// One call site with its named stack.
public struct Site: Sendable, Hashable {
  public var pid: Int32
  public var outstandingBytes: UInt64
  public var outstandingCount: UInt64
  public var allocs: UInt64
  public var frees: UInt64
  public var allocatedBytes: UInt64
  /// Age of the oldest outstanding object, in seconds.
  public var oldestSeconds: Double?
  /// Change of outstanding bytes per second over the later part of the watch; nil when the watch was
  /// too short to tell.
  public var growthBytesPerSecond: Double?
  /// Innermost first.
  public var frames: [Frame]
  public var stackEnd: StackEnd
  /// How sure the outstanding figures are; nil if they are exact.
  public var sampled: SampledOutstanding?
  /// The slots of the sites that it is, see `SiteCounts.id`: several where stacks are shown as one.
  public var ids: [UInt32]

  public init(
    pid: Int32, outstandingBytes: UInt64, outstandingCount: UInt64, allocs: UInt64, frees: UInt64,
    allocatedBytes: UInt64, oldestSeconds: Double? = nil, growthBytesPerSecond: Double? = nil,
    frames: [Frame], stackEnd: StackEnd = .complete, sampled: SampledOutstanding? = nil, ids: [UInt32] = []
  ) {
    self.ids = ids
    self.pid = pid
    self.outstandingBytes = outstandingBytes
    self.outstandingCount = outstandingCount
    self.allocs = allocs
    self.frees = frees
    self.allocatedBytes = allocatedBytes
    self.oldestSeconds = oldestSeconds
    self.growthBytesPerSecond = growthBytesPerSecond
    self.frames = frames
    self.stackEnd = stackEnd
    self.sampled = sampled
  }
}

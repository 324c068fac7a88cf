public import Profile

/// One program of one process: for ever, within a boot.
public struct ProcessIdentity: Sendable, Hashable {
  public var pid: Int32
  /// Clock ticks after boot at which the process started.
  public var startTicks: UInt64
  /// Changes when the process executes another program; the same for all who look at it.
  public var image: UInt64

  public init(pid: Int32, startTicks: UInt64, image: UInt64) {
    self.pid = pid
    self.startTicks = startTicks
    self.image = image
  }
}

/// What a store says of a process.
public struct StoredProcess: Sendable, Hashable {
  public var identity: ProcessIdentity
  /// As the kernel and the process tell them; any character may be in it.
  public var command: String
  public var executable: String
  /// Of the executable, in lower-case hex; empty if it is not known.
  public var buildID: String
  /// The control group's path; empty if it is not known.
  public var cgroup: String

  public init(identity: ProcessIdentity, command: String, executable: String, buildID: String, cgroup: String)
  {
    self.identity = identity
    self.command = command
    self.executable = executable
    self.buildID = buildID
    self.cgroup = cgroup
  }
}

/// A process's memory at one moment, in bytes.
public struct MemoryRow: Sendable, Hashable {
  public var process: ProcessIdentity
  public var resident: UInt64
  public var anonymous: UInt64
  public var swapped: UInt64

  public init(process: ProcessIdentity, resident: UInt64, anonymous: UInt64, swapped: UInt64) {
    self.process = process
    self.resident = resident
    self.anonymous = anonymous
    self.swapped = swapped
  }
}

/// A control group's memory at one moment, in bytes; `limit` is nil where there is none.
public struct GroupRow: Sendable, Hashable {
  public var path: String
  public var current: UInt64
  public var swapped: UInt64
  public var limit: UInt64?
  public var killed: UInt64

  public init(path: String, current: UInt64, swapped: UInt64, limit: UInt64?, killed: UInt64) {
    self.path = path
    self.current = current
    self.swapped = swapped
    self.limit = limit
    self.killed = killed
  }
}

/// One stretch of growth of a process. Times are milliseconds since 1970.
public struct GrowthRow: Sendable, Hashable {
  public var process: ProcessIdentity
  /// When the growth began, as far as samples reach back; with the process it names the stretch.
  public var since: Int64
  /// When it was told first, and when it was seen last.
  public var told: Int64
  public var seen: Int64
  /// When it ended and why; nil while it lasts.
  public var ended: Int64?
  public var reason: String?
  /// Bytes per second, and its 95 % interval.
  public var bytesPerSecond: Double
  public var low: Double
  public var high: Double
  /// Bytes of anonymous memory and swap at both ends.
  public var from: UInt64
  public var to: UInt64

  public init(
    process: ProcessIdentity, since: Int64, told: Int64, seen: Int64, ended: Int64? = nil,
    reason: String? = nil, bytesPerSecond: Double, low: Double, high: Double, from: UInt64, to: UInt64
  ) {
    self.process = process
    self.since = since
    self.told = told
    self.seen = seen
    self.ended = ended
    self.reason = reason
    self.bytesPerSecond = bytesPerSecond
    self.low = low
    self.high = high
    self.from = from
    self.to = to
  }
}

/// What a run of `drip sample` has cost and missed so far.
public struct RunState: Sendable, Hashable {
  public var intervals: UInt64 = 0
  /// drip's own CPU time in seconds, and its resident memory in bytes.
  public var cpuSeconds = 0.0
  public var resident: UInt64 = 0
  /// Intervals that could not be stored, and readings of processes that failed.
  public var lostIntervals: UInt64 = 0
  public var unread: UInt64 = 0

  public init() {}
}

/// All that is written of one interval, in one transaction.
public struct IntervalRecord: Sendable, Hashable {
  /// Milliseconds since 1970.
  public var time: Int64
  /// Processes that are new, or of which something has changed.
  public var processes: [StoredProcess] = []
  public var memory: [MemoryRow] = []
  public var gone: [ProcessIdentity] = []
  public var groups: [GroupRow] = []
  public var growths: [GrowthRow] = []
  public var run = RunState()

  public init(time: Int64) { self.time = time }
}

/// A call site as one snapshot shows it.
public struct StoredSite: Sendable, Hashable {
  /// Innermost first. Addresses are not kept: they mean nothing to another process.
  public var frames: [Frame]
  public var end: StackEnd
  public var allocs: UInt64
  public var frees: UInt64
  public var allocatedBytes: UInt64
  public var outstandingCount: UInt64
  public var outstandingBytes: UInt64
  /// The standard error of the outstanding bytes; nil if they are exact.
  public var bytesError: Double?
  public var oldestSeconds: Double?
  public var suspicion: StoredSuspicion?

  public init(
    frames: [Frame], end: StackEnd, allocs: UInt64, frees: UInt64, allocatedBytes: UInt64,
    outstandingCount: UInt64, outstandingBytes: UInt64, bytesError: Double? = nil,
    oldestSeconds: Double? = nil, suspicion: StoredSuspicion? = nil
  ) {
    self.frames = frames
    self.end = end
    self.allocs = allocs
    self.frees = frees
    self.allocatedBytes = allocatedBytes
    self.outstandingCount = outstandingCount
    self.outstandingBytes = outstandingBytes
    self.bytesError = bytesError
    self.oldestSeconds = oldestSeconds
    self.suspicion = suspicion
  }
}

/// What is thought of a call site: the verdict's level, its words, and its evidence as JSON.
public struct StoredSuspicion: Sendable, Hashable {
  public var level: String
  public var words: String
  public var evidence: String

  public init(level: String, words: String, evidence: String) {
    self.level = level
    self.words = words
    self.evidence = evidence
  }
}

/// A process's call sites at one moment.
public struct StoredSnapshot: Sendable, Hashable {
  public var process: ProcessIdentity
  /// Milliseconds since 1970.
  public var time: Int64
  /// Seconds since the attach, and those of them in which probes were in place.
  public var watchedSeconds: Double
  public var seenSeconds: Double
  /// Mean bytes between two samples; 0 if every object was counted.
  public var sampleBytes: UInt64
  /// Events that may make the counts wrong.
  public var losses: UInt64
  /// What a reader must know, in sentences.
  public var notes: [String]
  public var sites: [StoredSite]

  public init(
    process: ProcessIdentity, time: Int64, watchedSeconds: Double, seenSeconds: Double, sampleBytes: UInt64,
    losses: UInt64, notes: [String] = [], sites: [StoredSite]
  ) {
    self.process = process
    self.time = time
    self.watchedSeconds = watchedSeconds
    self.seenSeconds = seenSeconds
    self.sampleBytes = sampleBytes
    self.losses = losses
    self.notes = notes
    self.sites = sites
  }
}

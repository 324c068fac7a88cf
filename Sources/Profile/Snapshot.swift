/// A process that is being watched.
public struct Target: Sendable, Hashable {
  public var pid: Int32
  /// Clock ticks after boot at which the process started (field 22 of /proc/PID/stat); with the pid
  /// it names one process for ever.
  public var startTicks: UInt64
  /// The kernel's 15-byte command name.
  public var command: String
  /// The path of the executable as the process sees it.
  public var executable: String
  /// What had become of it when the capture ended.
  public var state: TracedProcess.State

  public init(
    pid: Int32, startTicks: UInt64, command: String, executable: String,
    state: TracedProcess.State = .running
  ) {
    self.pid = pid
    self.startTicks = startTicks
    self.command = command
    self.executable = executable
    self.state = state
  }
}

/// A process of a capture, by the number that `SiteCounts.process` refers to. A number is never used again, a pid may be.
public struct TracedProcess: Sendable, Hashable {
  public enum State: String, Sendable, Hashable {
    case running
    case exited
    /// It runs another program now; what the old one had is gone.
    case execed
  }

  public var number: Int
  /// With its state as it is now.
  public var target: Target
  /// Children it has had since the start of the watch.
  public var forks: UInt64

  public init(number: Int, target: Target, forks: UInt64 = 0) {
    self.number = number
    self.target = target
    self.forks = forks
  }
}

/// How sure estimates from a sample are.
public struct SampledOutstanding: Sendable, Hashable {
  /// Outstanding objects in the sample.
  public var objects: UInt64
  /// Standard errors of the outstanding bytes and count.
  public var bytesError: Double
  public var countError: Double

  public init(objects: UInt64, bytesError: Double, countError: Double) {
    self.objects = objects
    self.bytesError = bytesError
    self.countError = countError
  }
}

/// What one call site (one distinct stack of one process) has done since the attach. All counters only
/// grow, so what is outstanding is a difference that cannot wrap.
public struct SiteCounts: Sendable, Hashable {
  /// Stable for the life of a capture: the slot of the site in the site table.
  public var id: UInt32
  /// The number of its process, see `TracedProcess`.
  public var process: Int
  public var allocs: UInt64
  public var frees: UInt64
  /// Requested bytes, as the caller asked for them.
  public var allocatedBytes: UInt64
  public var freedBytes: UInt64
  /// Outstanding objects and bytes that pass the age filter, from the live table; equal to the
  /// differences of the counters where there is no filter and the target rests.
  public var agedCount: UInt64
  public var agedBytes: UInt64
  /// Age of the oldest outstanding object, in seconds; nil when nothing is outstanding.
  public var oldestSeconds: Double?
  /// How sure the outstanding figures are; nil if they are exact.
  public var sampled: SampledOutstanding?
  /// Why the walk of its stack ended.
  public var end: StackEnd
  /// How many changes the dynamic linker had told of when it was first seen.
  public var change: UInt32

  public init(
    id: UInt32, process: Int, allocs: UInt64, frees: UInt64, allocatedBytes: UInt64, freedBytes: UInt64,
    agedCount: UInt64 = 0, agedBytes: UInt64 = 0, oldestSeconds: Double? = nil,
    sampled: SampledOutstanding? = nil, end: StackEnd = .complete, change: UInt32 = 0
  ) {
    self.change = change
    self.id = id
    self.process = process
    self.allocs = allocs
    self.frees = frees
    self.allocatedBytes = allocatedBytes
    self.freedBytes = freedBytes
    self.agedCount = agedCount
    self.agedBytes = agedBytes
    self.oldestSeconds = oldestSeconds
    self.sampled = sampled
    self.end = end
  }

  /// Objects allocated and not yet freed. The counters are read one after the other while the target
  /// runs, so a free may be seen without its allocation for an instant; that reads as 0, not as 2^64.
  public var outstandingCount: UInt64 { allocs > frees ? allocs - frees : 0 }
  /// Bytes allocated and not yet freed.
  public var outstandingBytes: UInt64 { allocatedBytes > freedBytes ? allocatedBytes - freedBytes : 0 }
}

/// How full the tables in the kernel are.
public struct TableUse: Sendable, Hashable {
  /// Objects in the live table, and the most it was sized for.
  public var live: UInt64
  public var liveCapacity: UInt64
  public var sites: UInt64
  public var siteCapacity: UInt64
  /// Kernel memory of all maps, in bytes.
  public var bytes: UInt64

  public init(
    live: UInt64 = 0, liveCapacity: UInt64 = 0, sites: UInt64 = 0, siteCapacity: UInt64 = 0, bytes: UInt64 = 0
  ) {
    self.live = live
    self.liveCapacity = liveCapacity
    self.sites = sites
    self.siteCapacity = siteCapacity
    self.bytes = bytes
  }
}

/// The state of a capture at one moment. A plain value: everything after it is pure.
public struct Snapshot: Sendable, Hashable {
  /// Seconds since the attach.
  public var elapsedSeconds: Double
  public var sites: [SiteCounts]
  /// The same for mapped memory, where it is watched: allocs are mappings, frees those of which nothing is left, the
  /// aged count is of pieces. Their ids are of the same call stacks.
  public var mapped: [SiteCounts]
  public var losses: Losses
  public var table: TableUse
  /// Outstanding objects by birth; nil where nobody asked for it.
  public var cohorts: BirthCohorts?

  public init(
    elapsedSeconds: Double, sites: [SiteCounts], mapped: [SiteCounts] = [], losses: Losses = Losses(),
    table: TableUse = TableUse(), cohorts: BirthCohorts? = nil
  ) {
    self.cohorts = cohorts
    self.elapsedSeconds = elapsedSeconds
    self.sites = sites
    self.mapped = mapped
    self.losses = losses
    self.table = table
  }
}

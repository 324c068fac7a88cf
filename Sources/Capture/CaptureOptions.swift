public import Profile

/// How probes reach the kernel. Chosen by trying, best first, never by version.
public enum Backend: String, Sendable, Hashable, CaseIterable {
  /// One program at entry and return (Linux 6.13): the cheapest, and a return that is not wanted costs nothing.
  case session
  /// uprobe_multi links (Linux 6.6): one link for all sites, so that attach and detach are quick.
  case multi
  /// Perf events: one link a site, on every kernel; each takes about 0.1 s to detach.
  case perf

  /// As shown in reports.
  public var title: String {
    switch self {
    case .session: "uprobe session"
    case .multi: "uprobe multi"
    case .perf: "perf uprobe"
    }
  }
}

/// What to record and how much room to give it.
public struct CaptureOptions: Sendable, Hashable {
  /// Only objects of at least and at most so many requested bytes are counted.
  public var minSize: UInt64
  public var maxSize: UInt64
  /// Objects that may be outstanding at once; more are refused and counted.
  public var maxLive: Int
  /// Distinct call stacks; allocations of further ones lose their stack, not their count.
  public var maxSites: Int
  /// Frames kept of a stack, at most 512.
  public var maxFrames: Int
  /// Which allocations are recorded, and what they stand for; all of them unless it is on.
  public var sampling: ByteSampling
  /// Which kind of memory is watched.
  public var domain: MemoryDomain
  /// Processes that may be traced at one time.
  public var maxProcesses: Int
  /// Probe functions from the inside where one trap tells it all.
  public var usesOneTrap: Bool
  /// Tries only this backend when set.
  public var backend: Backend?
  /// Compile the target's call frame information; without it only frame pointers are followed.
  public var usesUnwindTables: Bool
  /// One stack in so many is handed out for the self-check; 0: none.
  public var checkStacksEvery: Int
  /// Walks the frames of Python, too, in processes where `LiveCapture.follow(python:)` says how. Experimental.
  public var walksPython: Bool

  public init(
    minSize: UInt64 = 0, maxSize: UInt64 = .max, maxLive: Int = 1 << 20, maxSites: Int = 1 << 15,
    maxFrames: Int = 256, sampling: ByteSampling = .everything, domain: MemoryDomain = .heap,
    maxProcesses: Int = 1,
    usesOneTrap: Bool = true, backend: Backend? = nil,
    usesUnwindTables: Bool = true, checkStacksEvery: Int = 0,
    walksPython: Bool = false
  ) {
    self.minSize = minSize
    self.maxSize = maxSize
    self.maxLive = maxLive
    self.maxSites = maxSites
    self.maxFrames = maxFrames
    self.sampling = sampling
    self.domain = domain
    self.maxProcesses = maxProcesses
    self.usesOneTrap = usesOneTrap
    self.backend = backend
    self.usesUnwindTables = usesUnwindTables
    self.checkStacksEvery = checkStacksEvery
    self.walksPython = walksPython
  }
}

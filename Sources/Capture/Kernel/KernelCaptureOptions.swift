public import Profile

/// What to record of the kernel's allocations, and how much room to give it.
public struct KernelCaptureOptions: Sendable, Hashable {
  /// Of which allocations the whole stack is taken.
  public enum Stacks: String, Sendable, Hashable, CaseIterable {
    /// Of callers that were armed; of the others the caller's address alone.
    case auto
    case always
    case never
  }

  /// Tries only this backend when set.
  public var backend: KernelBackend?
  public var stacks: Stacks
  /// Thread groups whose allocations count; all where there are none. What they allocate is counted wherever it is
  /// freed. Interrupts belong to nobody.
  public var pids: [Int32]
  public var domains: Set<KernelDomain>
  /// Each process has sites of its own, as it has anyway where `pids` are named. Otherwise the same stack is one site,
  /// whoever ran it.
  public var perProcess: Bool
  /// Only objects of at least and at most so many requested bytes are counted.
  public var minSize: UInt64
  public var maxSize: UInt64
  /// Objects that may be outstanding at once; more are refused and counted.
  public var maxLive: Int
  /// Distinct call stacks and callers.
  public var maxSites: Int
  /// Frames kept of a stack, at most 127.
  public var maxFrames: Int
  /// Where the kernel's functions stand that serve interrupts (`interruptFunctions`), four at most: stacks that go
  /// through them belong to no process.
  public var interrupts: [Range<UInt64>]

  /// Soft interrupts, by the name since 6.9 and the one before; hard ones; timers.
  public static let interruptFunctions = [
    "handle_softirqs", "__do_softirq", "__handle_irq_event_percpu", "__hrtimer_run_queues",
  ]

  public init(
    backend: KernelBackend? = nil, stacks: Stacks = .auto, pids: [Int32] = [],
    domains: Set<KernelDomain> = [.slab, .vmalloc], perProcess: Bool = false, minSize: UInt64 = 0,
    maxSize: UInt64 = .max,
    maxLive: Int = 1 << 18, maxSites: Int = 1 << 14, maxFrames: Int = 127,
    interrupts: [Range<UInt64>] = []
  ) {
    self.backend = backend
    self.stacks = stacks
    self.pids = pids
    self.domains = domains
    self.perProcess = perProcess
    self.minSize = minSize
    self.maxSize = maxSize
    self.maxLive = maxLive
    self.maxSites = maxSites
    self.maxFrames = maxFrames
    self.interrupts = interrupts
  }
}

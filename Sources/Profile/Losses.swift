/// One way in which a capture can fall short of the truth, or a fact about it that a reader needs in
/// order to judge the numbers. Every kind is counted where it happens and shown in every view.
public enum LossKind: String, Sendable, Hashable, CaseIterable {
  /// An allocation found the live table full. It was not counted at all, so that its free, which will not
  /// be matched, cannot leave a phantom.
  case tableFull = "table_full"
  /// No slot was left to remember a call while it ran; the call was not counted.
  case inflightFull = "inflight_full"
  /// A call was entered and never seen to return (longjmp out of an allocator, a killed thread).
  case lostReturns = "lost_returns"
  /// The result of posix_memalign, or what an inner site needs of the stack, could not be read from the target's
  /// memory; the allocation was not counted.
  case unreadableResult = "unreadable_result"
  /// A call that maps or unmaps memory found no room to be told of.
  case regionEvents = "region_events"
  /// The same address was handed out twice with no free in between; the old object was closed.
  case staleAddresses = "stale_addresses"
  /// The kernel did not run a probe because one was already running on that CPU.
  case missedProbes = "missed_probes"
  /// No slot for a new call stack; counted under the site "(no room for this stack)".
  case sitesFull = "sites_full"
  /// Allocations of stacks whose 64-bit hash was another stack's; told apart by a second hash and kept apart.
  case collidingSites = "colliding_sites"
  /// No room to store the frames of a new stack; the site counts, but its frames are cut.
  case framesFull = "frames_full"
  /// No scratch memory for a stack walk; counted under the site "(no room for this stack)".
  case scratchBusy = "scratch_busy"
  /// Allocations whose stack is deeper than the depth limit.
  case truncatedStacks = "truncated_stacks"
  /// Allocations whose stack walk stopped at memory that could not be read.
  case unreadableStacks = "unreadable_stacks"
  /// Allocations whose stack walk came to code that had just been loaded, so that its mapping was not known yet.
  case unmappedStacks = "unmapped_stacks"
  /// Libraries that came or went and found no room to be told of.
  case linkerEvents = "linker_events"
  /// Calls in which what sites inside of a function told was not what its entry and return did. Those count, and the
  /// function goes on being probed there.
  case oneTrapMismatches = "one_trap_mismatches"
  /// Stacks that the self-check unwound otherwise, where it had all that it needs.
  case stackMismatches = "stack_mismatches"
  /// Stacks that were to be checked and found no room on their way.
  case uncheckedStacks = "unchecked_stacks"
  /// Frees of blocks that were not allocated while drip watched: mostly blocks from before the attach.
  case unmatchedFrees = "unmatched_frees"
  /// Frames shown without a function name.
  case unsymbolisedFrames = "unsymbolised_frames"

  /// Whether outstanding bytes or counts may be wrong because of it. The others cost detail, or are
  /// plain facts of attaching to a running process.
  public var affectsCounts: Bool {
    switch self {
    case .tableFull, .inflightFull, .lostReturns, .unreadableResult, .regionEvents, .staleAddresses,
      .missedProbes:
      true
    case .sitesFull, .collidingSites, .framesFull, .scratchBusy, .truncatedStacks, .unreadableStacks,
      .unmappedStacks, .linkerEvents,
      .oneTrapMismatches, .stackMismatches, .uncheckedStacks, .unmatchedFrees, .unsymbolisedFrames:
      false
    }
  }

  /// The kind in plain words, as a plural noun phrase.
  public var explanation: String {
    switch self {
    case .tableFull: "allocations not counted, live table full (raise --max-live)"
    case .inflightFull: "calls not counted, too many at once"
    case .lostReturns: "calls that never returned"
    case .unreadableResult: "results that could not be read"
    case .regionEvents: "calls that map memory not counted, too many between two polls"
    case .staleAddresses: "addresses handed out twice with no free seen"
    case .missedProbes: "probe hits the kernel skipped"
    case .sitesFull: "allocations without their stack, site table full (raise --max-sites)"
    case .collidingSites: "allocations of stacks with another's hash (kept apart)"
    case .framesFull: "stacks stored cut, frame store full (raise --max-sites)"
    case .scratchBusy: "allocations without their stack, no scratch memory"
    case .truncatedStacks: "stacks deeper than the limit"
    case .unreadableStacks: "stacks cut at unreadable memory"
    case .unmappedStacks: "stacks cut in code that had just been loaded"
    case .linkerEvents: "libraries that came or went without being told of"
    case .oneTrapMismatches:
      "calls that sites inside of a function told wrongly (counted at entry and return)"
    case .stackMismatches: "stacks that another unwinder gives otherwise"
    case .uncheckedStacks: "stacks not checked, too many between two polls (raise --check-stacks)"
    case .unmatchedFrees: "frees of blocks allocated before the attach"
    case .unsymbolisedFrames: "frames without a name"
    }
  }
}

/// How often each kind of loss happened. A value of 0 is stored as absence.
public struct Losses: Sendable, Hashable {
  private var counts: [LossKind: UInt64] = [:]

  public init() {}

  public subscript(kind: LossKind) -> UInt64 {
    get { counts[kind] ?? 0 }
    set { counts[kind] = newValue == 0 ? nil : newValue }
  }

  /// The sum of all kinds that can make outstanding numbers wrong; 0 means that the counts are exact.
  public var total: UInt64 {
    counts.reduce(0) { $1.key.affectsCounts ? $0 + $1.value : $0 }
  }

  /// The kinds that occurred, in declaration order.
  public var occurred: [(kind: LossKind, count: UInt64)] {
    LossKind.allCases.compactMap { kind in counts[kind].map { (kind, $0) } }
  }
}

/// What a search of the target's memory for pointers into a site's objects has found.
///
/// What was inspected are the oldest outstanding objects of the site, as they were before the search and still were
/// after it. The search is conservative: a number that looks like a pointer counts as one. So what nothing points at is
/// lost, unless the program keeps its pointers in another form (xored, compressed, as offsets) or where nobody looks (in
/// device memory, in another process, in the kernel beyond epoll and timers).
public struct Reachability: Sendable, Hashable {
  /// Objects that were looked for; the four below add up to no more.
  public var inspected: Int
  /// Nothing points at them.
  public var unreachable: Int
  /// Only objects that are themselves lost point at them: rings, and parts of a lost whole.
  public var onlyFromSuspects: Int
  /// Something that is alive points at them.
  public var reachable: Int
  /// Who holds one of the reachable ones, in words ("`cache` in redis-server", "an object from createClient").
  public var exampleHolder: String?
  /// The target was stopped meanwhile. If not, `scans` of it must agree.
  public var isStopped: Bool
  public var scans: Int
  /// Of the reachable ones those that are held only from heap memory in which drip knows no object: objects from before
  /// the attach, but also what is left in freed blocks. They may be lost all the same.
  public var onlyFromUnknownHeap: Int
  /// The same as `exampleHolder`, taken apart.
  public var holder: Holder?
  /// For how long the target was stopped, in seconds; of all scans together, which are for all sites at once.
  public var stoppedSeconds: Double
  /// Bytes of the target's memory that were searched, in all scans.
  public var scannedBytes: UInt64

  public init(
    inspected: Int, unreachable: Int, onlyFromSuspects: Int = 0, reachable: Int, exampleHolder: String? = nil,
    isStopped: Bool = true, scans: Int = 1, onlyFromUnknownHeap: Int = 0, holder: Holder? = nil,
    stoppedSeconds: Double = 0, scannedBytes: UInt64 = 0
  ) {
    self.inspected = inspected
    self.unreachable = unreachable
    self.onlyFromSuspects = onlyFromSuspects
    self.reachable = reachable
    self.exampleHolder = exampleHolder
    self.isStopped = isStopped
    self.scans = scans
    self.onlyFromUnknownHeap = onlyFromUnknownHeap
    self.holder = holder
    self.stoppedSeconds = stoppedSeconds
    self.scannedBytes = scannedBytes
  }

  /// Objects that the program cannot get at any more. Rings are known only where the target stood still: then all known
  /// objects are followed.
  public var lost: Int { isStopped || unreachable > 0 ? unreachable + onlyFromSuspects : 0 }

  /// Enough objects are lost that it is no accident of the search, which takes under one live object in a thousand for
  /// a lost one: at least three, and one in a hundred. Looks at a target that runs on count if two agree.
  public var isProof: Bool { (isStopped || scans >= 2) && lost >= 3 && lost * 100 >= inspected }

  /// Enough were looked for, and all of them are held by something.
  public var isHeld: Bool {
    inspected >= 20 && lost == 0 && (reachable - onlyFromUnknownHeap) * 10 >= inspected * 9
  }
}

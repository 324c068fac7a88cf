/// What a search of the target's memory for pointers into a site's objects has found.
public struct Reachability: Sendable, Hashable {
  /// Objects that were looked for; the four below add up to no more.
  public var inspected: Int
  /// Nothing points at them.
  public var unreachable: Int
  /// Only objects that are themselves lost point at them.
  public var onlyFromSuspects: Int
  /// Something that is alive points at them.
  public var reachable: Int
  /// Who holds one of the reachable ones, in words ("redis-server .data", "objects of createClient").
  public var exampleHolder: String?
  /// The target was stopped meanwhile. If not, `scans` of it must agree.
  public var isStopped: Bool
  public var scans: Int

  public init(
    inspected: Int, unreachable: Int, onlyFromSuspects: Int = 0, reachable: Int, exampleHolder: String? = nil,
    isStopped: Bool = true, scans: Int = 1
  ) {
    self.inspected = inspected
    self.unreachable = unreachable
    self.onlyFromSuspects = onlyFromSuspects
    self.reachable = reachable
    self.exampleHolder = exampleHolder
    self.isStopped = isStopped
    self.scans = scans
  }

  /// Objects that the program cannot get at any more.
  public var lost: Int { unreachable > 0 ? unreachable + onlyFromSuspects : 0 }

  /// Enough objects are lost that it is no accident of the search, which takes under one live object in a thousand for
  /// a lost one: at least three, and one in a hundred. Looks at a target that runs on count if two agree.
  public var isProof: Bool { (isStopped || scans >= 2) && lost >= 3 && lost * 100 >= inspected }

  /// Enough were looked for, and all of them are held by something.
  public var isHeld: Bool { inspected >= 20 && lost == 0 && reachable * 10 >= inspected * 9 }
}

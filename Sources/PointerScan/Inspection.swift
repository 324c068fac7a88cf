import Processes
public import Profile

/// Looks whether anything still leads to suspects' objects: the oldest of each site, in a live process.
///
/// One scan decides if the process stands still for it. If it runs on, pointers move while they are looked for, so two
/// scans some time apart must agree, and only an object to which no other object points at all counts as lost.
public struct Inspection: Sendable {
  /// An object that was there before the first scan and after the last.
  public struct Inspected: Sendable, Hashable {
    public var object: LiveObject
    public var outcome: Outcome
  }

  public enum Outcome: Sendable, Hashable {
    /// Nothing points to it but itself.
    case unreachable
    /// Only objects point to it to which in turn nothing leads, this one among them.
    case onlyFromLost(LiveObject)
    case reachable(Holder)

    fileprivate var rank: Int {
      switch self {
      case .unreachable: 0
      case .onlyFromLost: 1
      case .reachable: 2
      }
    }
  }

  /// One of those who hold an object.
  public struct Holder: Sendable, Hashable {
    /// The object that points to it, if it is one that drip knows.
    public var object: LiveObject?
    /// Where the way to it begins, and the address there; of a register the number of the word, with the thread above.
    public var source: PointerSource
    public var place: UInt64
    /// Whose stack, register or thread-local storage that is; 0 for nobody's.
    public var thread: Int32
  }

  public struct Options: Sendable, Hashable {
    public var scan: ProcessScan.Options
    /// Objects of each site.
    public var limit: Int

    public init(scan: ProcessScan.Options = ProcessScan.Options(), limit: Int = 256) {
      self.scan = scan
      self.limit = limit
    }
  }

  public private(set) var objects: [Inspected] = []
  /// Suspects' objects that were freed while drip looked.
  public private(set) var freed = 0
  public private(set) var scans: [ProcessScan] = []
  /// Live objects that were left out since they overlap: of these a free was missed.
  public private(set) var overlapping = 0

  /// Whether one scan, of a process that stood still, was enough.
  public var isFrozen: Bool { scans.last?.isFrozen == true }
  public var stoppedSeconds: Double { scans.reduce(0) { $0 + $1.stoppedSeconds } }
  public var bytes: UInt64 { scans.reduce(0) { $0 + $1.search.bytes } }
  /// Why the process was not stopped although that was allowed.
  public var obstacle: String? { scans.first?.obstacle }

  /// Inspects objects of these sites. `known` gives all live objects of the process, nil when it is gone or runs another
  /// program; frees must be seen for as long as this lasts. `pause` waits between two scans, false if there shall be no
  /// second one. nil if there is nothing that could be said.
  public static func run(
    pid: Int32, sites: [UInt32], options: Options, known: () async throws -> [LiveObject]?,
    pause: () async throws -> Bool
  ) async throws -> Inspection? {
    var result = Inspection()
    var options = options
    guard let first = try await known() else { return nil }
    var suspects = LiveObject.oldest(of: sites, among: first, limit: options.limit)
    var index = ObjectIndex(first)
    suspects = suspects.filter { object in
      index.object(at: object.address).map { index.objects[$0] } == object
    }
    result.overlapping = index.overlapping
    let inspected = suspects.count
    var outcomes: [LiveObject: Outcome] = [:]
    while true {
      let numbers = suspects.compactMap { index.object(at: $0.address) }.sorted()
      let scan = try await scan(pid, index, numbers, options.scan)
      guard let later = try await known() else { return nil }
      let laterIndex = ObjectIndex(later)
      let gone = index.gone(in: laterIndex)
      let marking = Marking(
        scan.search, gone: gone, suspects: scan.isFrozen ? nil : Set(numbers),
        isNewer: { laterIndex.object(at: $0) != nil })
      let goneNumbers = Set(gone)
      suspects = suspects.filter { object in
        guard let number = index.object(at: object.address), !goneNumbers.contains(number) else {
          return false
        }
        let outcome = resolve(marking.fate(of: number), index, laterIndex, scan)
        if let other = outcomes[object], other.rank >= outcome.rank { return true }
        outcomes[object] = outcome
        return true
      }
      result.scans.append(scan)
      if scan.isFrozen || result.scans.count == 2 { break }
      guard try await pause(), let next = try await known() else { return nil }
      options.scan.stops = false
      index = ObjectIndex(next)
      suspects = suspects.filter { object in
        index.object(at: object.address).map { index.objects[$0] } == object
      }
    }
    result.objects = suspects.compactMap { object in
      outcomes[object].map { Inspected(object: object, outcome: $0) }
    }
    result.freed = inspected - result.objects.count
    return result
  }

  /// On a thread of its own: it takes long, and blocks.
  private static func scan(
    _ pid: Int32, _ index: ObjectIndex, _ suspects: [Int], _ options: ProcessScan.Options
  ) async throws(StopRefusal) -> ProcessScan {
    let result = await DedicatedThread.run { () -> Result<ProcessScan, StopRefusal> in
      Result { () throws(StopRefusal) in
        try ProcessScan.run(pid: pid, index: index, suspects: suspects, options: options)
      }
    }
    return try result.get()
  }

  private static func resolve(
    _ fate: Marking.Fate, _ index: ObjectIndex, _ later: ObjectIndex, _ scan: ProcessScan
  ) -> Outcome {
    switch fate {
    case .unreachable: return .unreachable
    case .onlyFromLost(let number): return .onlyFromLost(index.objects[number])
    case .reachable(let holder):
      // An object that has come since the first reading, which only the later one knows.
      if holder.source == .object, holder.object == nil, let newer = later.object(at: holder.place) {
        let object = later.objects[newer]
        return .reachable(Holder(object: object, source: .object, place: holder.place, thread: 0))
      }
      let thread =
        holder.source == .register
        ? Int32(truncatingIfNeeded: holder.place >> 32)
        : scan.plan.region(at: holder.place)?.thread ?? 0
      return .reachable(
        Holder(
          object: holder.object.map { index.objects[$0] }, source: holder.source, place: holder.place,
          thread: thread))
    }
  }
}

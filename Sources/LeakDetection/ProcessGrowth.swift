import Profile

/// What a process has of memory at one moment, as the kernel and drip see it. Bytes.
public struct MemorySample: Sendable, Hashable {
  /// Seconds since the attach.
  public var seconds: Double
  /// Resident memory, and the part of it that is anonymous.
  public var resident: UInt64
  public var anonymous: UInt64
  /// Outstanding bytes of the allocators, of what was allocated since the attach.
  public var heap: UInt64
  /// Outstanding bytes of direct mappings since the attach; nil where they are not watched.
  public var mapped: UInt64?
  public var threads: Int?

  public init(
    seconds: Double, resident: UInt64, anonymous: UInt64, heap: UInt64, mapped: UInt64? = nil,
    threads: Int? = nil
  ) {
    self.seconds = seconds
    self.resident = resident
    self.anonymous = anonymous
    self.heap = heap
    self.mapped = mapped
    self.threads = threads
  }
}

/// Tells from a process's memory over time what its growth is made of. Keeps the first sample and the newest one.
public struct ProcessGrowth: Sendable, Hashable {
  /// What the growth is, for the most part.
  public enum Cause: Sendable, Hashable {
    /// The process has not grown by more than `noise`.
    case none
    /// Live objects of the heap: sites have verdicts.
    case heap
    /// Memory that the program has mapped itself.
    case mappings
    /// New threads and their stacks.
    case threads
    /// The heap has freed what the process keeps: free memory in the allocator, in caches or between objects.
    case allocator
    /// Pages of files.
    case files
    /// None of what is watched.
    case unknown
  }

  /// Smaller changes are noise, in bytes: 1 MiB, or a hundredth of what was resident.
  public var noise: UInt64 { max(1 << 20, (first?.resident ?? 0) / 100) }

  /// The samples that are compared.
  public private(set) var first: MemorySample?
  public private(set) var newest: MemorySample?
  /// The most heap that was live.
  public private(set) var mostHeap: UInt64 = 0
  /// Resident memory when the heap was largest.
  public private(set) var residentAtMostHeap: UInt64 = 0

  public init() {}

  /// Adds a sample; one that is not later than the newest is left out.
  public mutating func add(_ sample: MemorySample) {
    guard sample.seconds.isFinite, newest.map({ sample.seconds > $0.seconds }) ?? true else { return }
    if first == nil { first = sample }
    newest = sample
    if sample.heap >= mostHeap {
      mostHeap = sample.heap
      residentAtMostHeap = sample.resident
    }
  }

  /// Changes since the first sample, in bytes.
  private var change: (resident: Int64, anonymous: Int64, heap: Int64, mapped: Int64)? {
    guard let first, let newest, newest.seconds > first.seconds else { return nil }
    func difference(_ a: UInt64, _ b: UInt64) -> Int64 { Int64(clamping: a) - Int64(clamping: b) }
    return (
      difference(newest.resident, first.resident), difference(newest.anonymous, first.anonymous),
      difference(newest.heap, first.heap), difference(newest.mapped ?? 0, first.mapped ?? 0)
    )
  }

  private var newThreads: Int { (newest?.threads ?? 0) - (first?.threads ?? newest?.threads ?? 0) }

  /// What most of the growth is; nil of less than two samples.
  public var cause: Cause? {
    guard let change else { return nil }
    guard change.resident > Int64(clamping: noise) else { return Cause.none }
    // The half of it explains it.
    let half = change.resident / 2
    if change.heap >= half { return .heap }
    if change.mapped >= half { return .mappings }
    if change.anonymous < half { return .files }
    if change.heap + change.mapped >= half { return change.heap >= change.mapped ? .heap : .mappings }
    // The heap was that much larger in the meantime.
    if let first, Int64(clamping: mostHeap) - Int64(clamping: first.heap) >= half { return .allocator }
    // A stack takes two pages at least; which part of it is resident is not known.
    if newThreads > 0, change.resident / Int64(newThreads) <= 8 << 20 { return .threads }
    return newest?.mapped == nil ? .unknown : .allocator
  }

  /// The same in a sentence; nil of less than two samples.
  public var sentence: String? {
    guard let cause, let change, let first, let newest else { return nil }
    let time = RateWords.span(newest.seconds - first.seconds)
    guard cause != .none else {
      return change.resident < -Int64(clamping: noise)
        ? "RSS shrank by \(size(-change.resident)) in \(time)." : "RSS did not grow in \(time)."
    }
    var text = "RSS grew \(size(change.resident)) in \(time), outstanding heap \(signed(change.heap))"
    if newest.mapped != nil { text += ", mapped memory \(signed(change.mapped))" }
    if newThreads != 0 { text += ", \(newThreads > 0 ? "+" : "")\(newThreads) threads" }
    return text + ": " + explanation(cause) + "."
  }

  private func explanation(_ cause: Cause) -> String {
    switch cause {
    case .none: "nothing to explain"
    case .heap: "live objects, see the call sites"
    case .mappings: "memory that the program maps itself, see the mappings"
    case .threads: "new threads and their stacks"
    case .allocator:
      mostHeap > (newest?.heap ?? 0) + noise
        ? "the allocator keeps it, the heap was \(Quantities.bytes(mostHeap)) at its largest; no leak"
        : "the allocator keeps it, in its caches or between objects"
    case .files: "pages of files, which the kernel can take back"
    case .unknown:
      "memory outside of the heap: the allocator keeps it, or the program maps it (watch mappings to tell)"
    }
  }

  private func size(_ bytes: Int64) -> String { Quantities.bytes(bytes.magnitude) }
  private func signed(_ bytes: Int64) -> String { (bytes < 0 ? "-" : "+") + size(bytes) }
}

public import Processes
import Profile

/// One pass over a process's memory, registers and what the kernel keeps for it.
public struct ProcessScan: Sendable {
  public struct Options: Sendable, Hashable {
    /// Whether the process may be stopped.
    public var stops: Bool
    /// It is never stopped for longer, in seconds.
    public var maxStop: Double
    /// It is not stopped for longer than this for each byte to be read, or `leastStop`.
    public var secondsPerByte = 0.25 / Double(128 << 20)
    public var leastStop = 0.1
    /// How many pointers between objects are kept, at 8 bytes each.
    public var edgeLimit = 1 << 25

    public init(stops: Bool = true, maxStop: Double = 1) {
      self.stops = stops
      self.maxStop = maxStop
    }

    /// Whether a stop of this process would have all the time that its memory asks for.
    public func suffices(forStopOf pid: Int32) -> Bool {
      max(Double(TargetMemory.estimate(pid: pid)) * secondsPerByte, leastStop) <= maxStop
    }

    /// The time that a stop may take to read so many bytes.
    func stopLimit(bytes: UInt64) -> Double {
      min(max(Double(bytes) * secondsPerByte, leastStop), maxStop)
    }
  }

  /// What was found.
  public let search: PointerSearch
  /// The process stood still from the first byte to the last, and the registers of all threads were seen.
  public let isFrozen: Bool
  /// For how long the process was stopped, be it in vain; 0 if it was not.
  public let stoppedSeconds: Double
  /// For how long memory was read and searched.
  public let seconds: Double
  /// Why the process was not stopped, or not for long enough; nil if it was or if that was not wanted.
  public let obstacle: String?
  public let plan: ScanPlan
  public let threads: [TargetStopper.Thread]

  /// Words that are read at once: 512 KiB, which stay in the cache.
  private static let chunkWords = 1 << 16

  /// Scans a process for pointers to objects. Blocks: to be called on a thread of its own. `suspects`: the objects that
  /// matter, by their numbers in the index; where the process runs on, only pointers to them are looked for.
  public static func run(
    pid: Int32, index: ObjectIndex, suspects: [Int], options: Options
  ) throws(StopRefusal) -> ProcessScan {
    var memory = try TargetMemory(pid: pid)
    guard options.stops else {
      return try runningOn(pid, index, suspects, &memory, obstacle: nil, stopped: 0, options)
    }
    let bytes = TargetMemory.estimate(pid: pid)
    let limit = options.stopLimit(bytes: bytes)
    // What need not be done while the process stands still is done before and after.
    var search = PointerSearch(index, edgeLimit: options.edgeLimit)
    addKernelHeld(pid, &search)
    let stopper: TargetStopper
    DedicatedThread.setUrgent(true)
    defer { DedicatedThread.setUrgent(false) }
    let start = monotonicSeconds()
    do throws(StopRefusal) {
      stopper = try TargetStopper(pid: pid, seconds: limit)
    } catch {
      if case .gone = error { throw error }
      return try runningOn(pid, index, suspects, &memory, obstacle: "\(error)", stopped: 0, options)
    }
    let threads = stopper.threads
    let plan: ScanPlan?
    do throws(StopRefusal) {
      let wanted = try makePlan(pid, threads, index)
      plan = try scan(wanted, &memory, &search, until: start + limit) ? wanted : nil
    } catch {
      stopper.release()
      throw error
    }
    let ending = stopper.release()
    DedicatedThread.setUrgent(false)
    search.resolve()
    guard let plan, ending.isWhole, !search.isOverflown else {
      let obstacle =
        search.isOverflown
        ? "there are more pointers than drip keeps"
        : "\(Quantities.bytes(bytes)) could not be searched within \(Quantities.age(limit))"
      return try runningOn(
        pid, index, suspects, &memory, obstacle: obstacle, stopped: ending.seconds, options)
    }
    for thread in threads {
      for (number, word) in thread.words.enumerated() {
        let place = UInt64(UInt32(bitPattern: thread.id)) << 32 | UInt64(number)
        search.search(word: word, source: .register, place: place)
      }
    }
    addKernelHeld(pid, &search)
    return ProcessScan(
      search: search, isFrozen: stopper.isFrozen, stoppedSeconds: ending.seconds,
      seconds: monotonicSeconds() - start,
      obstacle: stopper.isFrozen ? nil : "a thread was in the kernel and did not stop", plan: plan,
      threads: threads)
  }

  /// Reads everything while the process runs.
  private static func runningOn(
    _ pid: Int32, _ index: ObjectIndex, _ suspects: [Int], _ memory: inout TargetMemory,
    obstacle: String?, stopped: Double, _ options: Options
  ) throws(StopRefusal) -> ProcessScan {
    var search = PointerSearch(index, chosen: suspects, edgeLimit: options.edgeLimit)
    addKernelHeld(pid, &search)
    let start = monotonicSeconds()
    let plan = try makePlan(pid, [], index)
    _ = try scan(plan, &memory, &search, until: nil)
    search.resolve()
    let seconds = monotonicSeconds() - start
    addKernelHeld(pid, &search)
    return ProcessScan(
      search: search, isFrozen: false, stoppedSeconds: stopped, seconds: seconds, obstacle: obstacle,
      plan: plan, threads: [])
  }

  private static func makePlan(
    _ pid: Int32, _ threads: [TargetStopper.Thread], _ index: ObjectIndex
  ) throws(StopRefusal) -> ScanPlan {
    guard let mappings = try? MemoryMap.read(pid: pid), !mappings.isEmpty else { throw .gone(pid: pid) }
    return ScanPlan(mappings: mappings, threads: threads, index: index)
  }

  private static func addKernelHeld(_ pid: Int32, _ search: inout PointerSearch) {
    for (word, place) in KernelHeldWords.read(pid: pid) {
      search.search(word: word, source: .kernel, place: place)
    }
  }

  /// False if the time was over before the end.
  private static func scan(
    _ plan: ScanPlan, _ memory: inout TargetMemory, _ search: inout PointerSearch, until deadline: Double?
  ) throws(StopRefusal) -> Bool {
    let page = TargetMemory.pageSize
    var words = [UInt64](repeating: 0, count: chunkWords)
    for region in plan.regions {
      let pages = memory.pagesInUse(
        from: region.start & ~(page - 1), to: (region.end + page - 1) & ~(page - 1),
        ownOnly: region.ownPagesOnly)
      for range in pages {
        var address = max(range.lowerBound, region.start)
        let end = min(range.upperBound, region.end)
        while address < end {
          if let deadline, monotonicSeconds() >= deadline { return false }
          let count = try memory.read(at: address, limit: Int((end - address) / 8), into: &words)
          guard count > 0 else {
            // Of a device, or gone by now: what cannot be read holds nothing.
            address = (address / page + 1) * page
            continue
          }
          search.search(
            words.span.extracting(first: count), at: address, source: region.source,
            isAllocators: region.isAllocators)
          address += UInt64(count) * 8
        }
      }
    }
    return true
  }
}

public import Processes

/// What of a process's memory is to be read, and what stands there. Pure.
public struct ScanPlan: Sendable, Hashable {
  /// A stretch of memory of one kind.
  public struct Region: Sendable, Hashable {
    public var start: UInt64
    public var end: UInt64
    public var source: PointerSource
    /// Only pages that the process has written to: others are as in the file, which knows no object.
    public var ownPagesOnly: Bool
    /// Whose stack or thread-local storage it is; 0 for nobody's.
    public var thread: Int32
    /// Data of glibc, in which its allocator keeps its own.
    public var isAllocators = false
  }

  /// Ascending, free of overlaps.
  public let regions: [Region]

  /// Below the stack pointer a leaf function may use so many bytes (System V ABI for x86-64).
  private static let redZone: UInt64 = 128
  /// About what static thread-local storage takes below and above the thread pointer, with the C library's own data.
  /// Only the words that tell of a holder depend on it.
  private static let localBelow: UInt64 = 8192
  private static let localAbove: UInt64 = 2304
  /// glibc's arenas begin at multiples of it; memory that is not theirs yet follows them.
  private static let arenaBytes: UInt64 = 64 << 20

  /// `mappings` in the order of their addresses, as the kernel lists them.
  public init(
    mappings: [MemoryMapping], threads: [TargetStopper.Thread], index: ObjectIndex
  ) {
    var regions: [Region] = []
    for (position, mapping) in mappings.enumerated() where Self.isWanted(mapping) {
      let previous = position > 0 ? mappings[position - 1] : nil
      regions += Self.split(mapping, after: previous, mappings, threads, index)
    }
    self.regions = regions
  }

  /// The region that an address lies in.
  public func region(at address: UInt64) -> Region? {
    regions.first { $0.start <= address && address < $0.end }
  }

  /// Memory that may hold pointers to the heap. Of read-only memory only what has been written to before it was
  /// protected. Devices are left out: reading may act on them.
  private static func isWanted(_ mapping: MemoryMapping) -> Bool {
    guard mapping.permissions.contains(.read), mapping.end <= 1 << 47 else { return false }
    if mapping.path.hasPrefix("[v") { return false }
    if mapping.path.hasPrefix("/dev/"), !mapping.path.hasPrefix("/dev/shm/"), mapping.path != "/dev/zero" {
      return false
    }
    return mapping.permissions.contains(.write) || !mapping.permissions.contains(.shared)
  }

  private static func split(
    _ mapping: MemoryMapping, after previous: MemoryMapping?, _ all: [MemoryMapping],
    _ threads: [TargetStopper.Thread], _ index: ObjectIndex
  ) -> [Region] {
    let isWritable = mapping.permissions.contains(.write)
    let isShared = mapping.permissions.contains(.shared)
    func region(_ start: UInt64, _ end: UInt64, _ source: PointerSource, _ thread: Int32 = 0) -> Region {
      Region(
        start: start, end: end, source: source,
        ownPagesOnly: !isShared && (!isWritable || mapping.inode != 0),
        thread: thread)
    }
    if isShared { return [region(mapping.start, mapping.end, .shared)] }
    if mapping.inode != 0 || isZeroedData(mapping, after: previous) {
      let path = mapping.inode != 0 ? mapping.path : previous?.path ?? ""
      let isAllocators = path.hasSuffix("/libc.so.6") || path.contains("/libc-2.")
      // Much of it is the allocator's, and may be left over: it must not pass for a variable that holds something.
      var data = region(mapping.start, mapping.end, isAllocators ? .unknownHeap : .data)
      data.isAllocators = isAllocators
      return [data]
    }
    if let thread = threads.first(where: { isStack(mapping, of: $0, after: previous, index) }) {
      let start = max(mapping.start, (thread.stackPointer &- redZone) & ~7)
      return [region(start, mapping.end, .stack, thread.id)]
    }
    if mapping.path == "[stack]" { return [region(mapping.start, mapping.end, .stack)] }
    // Static thread-local storage of the first thread lies among other things.
    let locals = threads.filter { mapping.start <= $0.threadPointer && $0.threadPointer < mapping.end }
    var result: [Region] = []
    var start = mapping.start
    for thread in locals.sorted(by: { $0.threadPointer < $1.threadPointer }) {
      let begin = max(start, (thread.threadPointer - localBelow) & ~7)
      let end = min(mapping.end, (thread.threadPointer + localAbove) & ~7)
      guard begin < end else { continue }
      if start < begin { result.append(region(start, begin, .unknownHeap)) }
      result.append(region(begin, end, .threadLocal, thread.id))
      start = end
    }
    if start < mapping.end { result.append(region(start, mapping.end, .unknownHeap)) }
    return result
  }

  /// .bss continues a file's writable data in anonymous memory.
  private static func isZeroedData(_ mapping: MemoryMapping, after previous: MemoryMapping?) -> Bool {
    guard let previous, mapping.path.isEmpty, previous.end == mapping.start else { return false }
    return previous.inode != 0 && previous.permissions.contains(.write)
      && !previous.permissions.contains(.shared)
  }

  /// Whether what lies below the thread's stack pointer in this mapping is dead. It must be a stack and nothing else:
  /// the kernel's own, or one with a guard before it that has the thread's control block at its top, as C libraries lay
  /// them out. Other code may run on memory of an arena, where all the rest is alive.
  private static func isStack(
    _ mapping: MemoryMapping, of thread: TargetStopper.Thread, after previous: MemoryMapping?,
    _ index: ObjectIndex
  ) -> Bool {
    let pointer = thread.stackPointer
    guard mapping.start <= pointer, pointer < mapping.end else { return false }
    if mapping.path == "[stack]" { return true }
    guard let previous, previous.end == mapping.start, previous.permissions.isEmpty,
      pointer < thread.threadPointer, thread.threadPointer < mapping.end,
      mapping.start % arenaBytes != 0
    else { return false }
    let first = index.firstEnding(after: mapping.start)
    return first >= index.starts.count || index.starts[first] >= pointer
  }
}

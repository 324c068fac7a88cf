import CProbes
import Libbpf
import Processes

/// The kernel's picture of one process's code: which executable mappings there are, and by which tables each is
/// unwound. It is kept twice: changes go into the idle one, which then becomes the active one.
struct ProcessImage {
  private let pid: Int32
  /// Its place among the images, see `drip_process` in abi.h.
  private let slot: Int
  private var active = 0
  private(set) var mappings: [MemoryMapping] = []
  /// Files with code that were mapped at some time.
  private var files: Set<String> = []
  /// Whether the last scan found code of a file that was not there before; the first one's do not count.
  private(set) var hasNewFiles = false

  init(pid: Int32, slot: Int) {
    self.pid = pid
    self.slot = slot
  }

  /// Mappings that found no room: walks ask the kernel for them.
  private(set) var beyond = 0

  /// Reads the mappings and opens files not seen before. True if anything has changed.
  @discardableResult
  mutating func scan(_ library: inout UnwindLibrary) -> Bool {
    guard let all = try? MemoryMap.read(pid: pid) else { return false }
    // The kernel's own pages for probes are no code of the process: a return address there hides another one.
    let executable = all.filter {
      $0.permissions.contains(.execute) && $0.start < 1 << 47 && !$0.path.hasPrefix("[uprobes")
    }
    hasNewFiles = false
    guard executable != mappings else { return false }
    let named = Set(executable.lazy.filter { $0.inode != 0 }.map(\.path))
    hasNewFiles = !files.isEmpty && !named.isSubset(of: files)
    files.formUnion(named)
    mappings = executable
    library.open(executable, pid: pid)
    return true
  }

  /// Writes the mapping table and an empty rule cache into the idle image, then makes it the active one. A walk
  /// under way goes on with the old one; walks remembered from it are void, since the generation is another.
  mutating func write(_ library: UnwindLibrary, _ kernel: borrowing KernelHalf, generation: UInt32) {
    let entries = fitting(library)
    let next = active ^ 1
    kernel.processes.withMutableBytes { start in
      let first = start + 2 * slot * Int(DRIP_PROCESS_BYTES)
      let image = first + next * Int(DRIP_PROCESS_BYTES)
      let table = (image + Int(DRIP_PROCESS_MAPPINGS_AT)).assumingMemoryBound(to: drip_mapping.self)
      for (index, entry) in entries.enumerated() { table[index] = entry }
      let cache = image + Int(DRIP_PROCESS_CACHE_AT)
      cache.initializeMemory(as: UInt64.self, repeating: 0, count: Int(DRIP_PC_CACHE))
      image.storeBytes(of: generation, toByteOffset: Int(DRIP_PROCESS_GENERATION_AT), as: UInt32.self)
      image.storeBytes(of: UInt32(entries.count), as: UInt32.self)
      // `active` stands behind the count of the first image.
      first.storeBytes(of: UInt32(next), toByteOffset: 4, as: UInt32.self)
    }
    active = next
  }

  /// The entries of the mappings, no more than there is room for. Where they are too many, neighbours without tables
  /// become one, and what has no table goes first: a walk asks the kernel for what is not in the list.
  private mutating func fitting(_ library: UnwindLibrary) -> [drip_mapping] {
    let most = Int(DRIP_MAPPINGS)
    var entries = mappings.map(library.entry)
    beyond = 0
    guard entries.count > most else { return entries }
    var merged: [drip_mapping] = []
    for next in entries {
      if next.page_count == 0, let last = merged.last, last.page_count == 0, last.end == next.begin {
        merged[merged.count - 1].end = next.end
      } else {
        merged.append(next)
      }
    }
    entries = merged
    if entries.count > most { entries.removeAll { $0.page_count == 0 } }
    beyond = merged.count - min(entries.count, most)
    return Array(entries.prefix(most))
  }

  /// Nothing of it is in the kernel any more (a backend was given up).
  mutating func forget() { active = 0 }

  func coverage(_ library: UnwindLibrary) -> [UnwindCoverage.File] {
    var seen: Set<String> = []
    return mappings.filter { $0.inode != 0 && seen.insert($0.path).inserted }.map {
      UnwindCoverage.File(path: $0.path, hasTable: library.hasTable($0))
    }
  }
}

/// Which of a process's code files can be unwound by table.
public enum UnwindCoverage {
  public struct File: Sendable, Hashable {
    public let path: String
    public let hasTable: Bool
  }

  /// Looks at every executable mapping of a file; reads section headers only.
  public static func examine(pid: Int32) -> [File] {
    var library = UnwindLibrary(isEnabled: true)
    var image = ProcessImage(pid: pid, slot: 0)
    image.scan(&library)
    return image.coverage(library)
  }
}

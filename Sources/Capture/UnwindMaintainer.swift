import Binaries
import CProbes
import Libbpf
import Processes

/// Keeps the kernel's picture of a process's code up to date: which executable mappings there are, and how to
/// unwind through each. Small files are compiled before the attach, large ones after it, so that a program of
/// 200 MiB does not hold up the first count.
struct UnwindMaintainer {
  /// Files are told apart as the kernel does.
  private struct FileID: Hashable {
    let deviceMajor: UInt32
    let deviceMinor: UInt32
    let inode: UInt64
  }

  private struct File {
    let path: String
    let elf: ELFFile
    let ehFrameAddress: UInt64
    let ehFrameOffset: UInt64
    let ehFrameSize: Int
    var isCompiled = false
    var table: UnwindTable?
    var placement: UnwindStore.Placement?
  }

  /// .eh_frame bytes that may be compiled before the attach: about a quarter of a second.
  private static let bytesBeforeAttach = 1_200_000
  /// .eh_frame bytes a row takes, on the low side (measured 5.8 to 6.6), so that the tables are large enough.
  private static let bytesPerRow = 5

  private let pid: Int32
  private let isEnabled: Bool
  private var files: [FileID: File] = [:]
  private var mappings: [MemoryMapping] = []
  private var store = UnwindStore()
  private var activeImage = 0
  private(set) var notes: [String] = []

  init(pid: Int32, isEnabled: Bool) {
    self.pid = pid
    self.isEnabled = isEnabled
  }

  /// Rows that all files seen so far will need, roughly and on the high side.
  var estimatedRows: Int { files.values.reduce(0) { $0 + $1.ehFrameSize / Self.bytesPerRow } }
  /// 64 KiB pages of text in all files.
  var pageCount: Int {
    files.values.reduce(0) { $0 + $1.elf.executableSpan / 65_536 + 2 }
  }

  /// Reads the mappings and opens files not seen before. True if anything has changed.
  @discardableResult
  mutating func scan() -> Bool {
    guard let all = try? MemoryMap.read(pid: pid) else { return false }
    let executable = all.filter { $0.permissions.contains(.execute) && $0.start < 1 << 47 }
    guard executable != mappings else { return false }
    mappings = executable
    guard isEnabled else { return true }
    for mapping in executable where mapping.inode != 0 {
      let id = Self.id(of: mapping)
      guard files[id] == nil, let path = try? MemoryMap.openableFile(pid: pid, mapping: mapping),
        let bytes = try? FileBytes(path: path), let elf = try? ELFFile(bytes),
        let section = elf.section(named: ".eh_frame"), section.size < 1 << 30
      else { continue }
      files[id] = File(
        path: mapping.path, elf: elf, ehFrameAddress: section.address, ehFrameOffset: section.offset,
        ehFrameSize: Int(section.size))
    }
    return true
  }

  /// Compiles what fits the budget, smallest first, and writes tables and mappings.
  mutating func install(into kernel: borrowing KernelHalf) {
    var spent = 0
    for id in pendingFiles() {
      guard let file = files[id], spent + file.ehFrameSize <= Self.bytesBeforeAttach else { break }
      spent += file.ehFrameSize
      compile(id)
    }
    for id in files.keys where files[id]?.table != nil { place(id, kernel) }
    writeMappings(kernel)
  }

  /// Follows dlopen and dlclose, and compiles what was left for later.
  mutating func refresh(kernel: borrowing KernelHalf) {
    let changed = scan()
    let pending = pendingFiles()
    guard changed || !pending.isEmpty else { return }
    for id in pending {
      compile(id)
      place(id, kernel)
    }
    writeMappings(kernel)
  }

  /// The maps that the tables were placed in are gone (a backend was given up).
  mutating func forgetPlacements() {
    store = UnwindStore()
    activeImage = 0
    for id in files.keys { files[id]?.placement = nil }
  }

  private func pendingFiles() -> [FileID] {
    files.filter { !$0.value.isCompiled }.sorted { $0.value.ehFrameSize < $1.value.ehFrameSize }.map(\.key)
  }

  private mutating func compile(_ id: FileID) {
    guard let file = files[id] else { return }
    files[id]?.isCompiled = true
    guard let bytes = try? file.elf.bytes(at: file.ehFrameOffset, count: file.ehFrameSize) else {
      notes.append("\(file.path): call frame information unreadable, following frame pointers there")
      return
    }
    files[id]?.table = UnwindTable.compile(ehFrame: bytes, address: file.ehFrameAddress)
  }

  private mutating func place(_ id: FileID, _ kernel: borrowing KernelHalf) {
    guard let file = files[id], file.placement == nil, let table = file.table else { return }
    files[id]?.placement = store.install(table, rules: kernel.rules, pages: kernel.pages, rows: kernel.rows)
    if files[id]?.placement == nil, !table.rows.isEmpty {
      notes.append("\(file.path): no room for its unwind table, following frame pointers there")
    }
  }

  /// Writes the mapping table and an empty rule cache into the idle one of the process's two images, then makes
  /// it the active one. A walk under way goes on with the old one.
  private mutating func writeMappings(_ kernel: borrowing KernelHalf) {
    let limit = Int(DRIP_MAPPINGS)
    let entries = mappings.prefix(limit).map(entry)
    let next = activeImage ^ 1
    kernel.processes.withMutableBytes { first in
      let image = first + next * Int(DRIP_PROCESS_BYTES)
      let table = (image + Int(DRIP_PROCESS_MAPPINGS_AT)).assumingMemoryBound(to: drip_mapping.self)
      for (index, entry) in entries.enumerated() { table[index] = entry }
      let cache = image + Int(DRIP_PROCESS_CACHE_AT)
      cache.initializeMemory(as: UInt64.self, repeating: 0, count: Int(DRIP_PC_CACHE))
      image.storeBytes(of: UInt32(entries.count), as: UInt32.self)
      // `active` stands behind the count of the first image.
      first.storeBytes(of: UInt32(next), toByteOffset: 4, as: UInt32.self)
    }
    activeImage = next
  }

  private func entry(_ mapping: MemoryMapping) -> drip_mapping {
    var entry = drip_mapping(begin: mapping.start, end: mapping.end, bias: 0, first_page: 0, page_count: 0)
    guard let file = files[Self.id(of: mapping)], mapping.inode != 0, let placement = file.placement,
      let address = file.elf.address(ofFileOffset: mapping.fileOffset)
    else { return entry }
    // pc - bias counts from the first byte of the table's first page.
    entry.bias = mapping.start &- address &+ placement.basePage << 16
    entry.first_page = UInt32(placement.firstPage)
    entry.page_count = UInt32(placement.pageCount)
    return entry
  }

  private static func id(of mapping: MemoryMapping) -> FileID {
    FileID(
      deviceMajor: UInt32(mapping.deviceMajor), deviceMinor: UInt32(mapping.deviceMinor), inode: mapping.inode
    )
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
    var maintainer = UnwindMaintainer(pid: pid, isEnabled: true)
    maintainer.scan()
    return maintainer.coverage
  }
}

extension UnwindMaintainer {
  fileprivate var coverage: [UnwindCoverage.File] {
    var seen: Set<String> = []
    return mappings.filter { $0.inode != 0 && seen.insert($0.path).inserted }.map {
      UnwindCoverage.File(path: $0.path, hasTable: (files[Self.id(of: $0)]?.ehFrameSize ?? 0) > 8)
    }
  }
}

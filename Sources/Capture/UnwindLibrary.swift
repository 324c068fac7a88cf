import Binaries
import CProbes
import Libbpf
import Processes

/// The unwind tables of all code files of all traced processes: each file is read and compiled once, however many
/// processes map it. Small files are compiled before the attach, large ones after it, so that a program of 200 MiB
/// does not hold up the first count.
struct UnwindLibrary {
  /// Files are told apart as the kernel does. Its own one, the vDSO, has no inode: it is the same in all processes.
  struct FileID: Hashable {
    let deviceMajor: UInt32
    let deviceMinor: UInt32
    let inode: UInt64

    /// Nil for memory without a file.
    init?(_ mapping: MemoryMapping) {
      guard mapping.inode != 0 || mapping.path == UnwindLibrary.vdso else { return nil }
      deviceMajor = mapping.deviceMajor
      deviceMinor = mapping.deviceMinor
      inode = mapping.inode
    }

    /// As the mappings of a file show it, on file systems whose files have the same device for stat(2): not btrfs.
    init(_ file: FileBytes.Identity) {
      (deviceMajor, deviceMinor) = MemoryMap.parts(ofDevice: file.device)
      inode = file.inode
    }
  }

  private struct File {
    let path: String
    let elf: ELFFile
    let frames: CallFrameInfo
    var isCompiled = false
    var table: UnwindTable?
    var placement: UnwindStore.Placement?
  }

  /// Bytes of call frame information that may be compiled before the attach: about a quarter of a second (measured:
  /// 9.1 MB of .eh_frame in 0.09 s).
  /// Stacks taken before a file's table is there are mostly cut in it.
  private static let bytesBeforeAttach = 24_000_000

  private static let vdso = "[vdso]"
  private static let largestVDSO: UInt64 = 1 << 20

  private let isEnabled: Bool
  private var files: [FileID: File] = [:]
  /// Files without call frame information: frame pointers are followed in them.
  private var bare: Set<FileID> = []
  /// Files that walks find by their inodes.
  private var published: Set<FileID> = []
  private var isFull = false
  private var store = UnwindStore()
  private(set) var notes: [String] = []
  /// What the tables of all files seen cost.
  private(set) var figures = UnwindFigures()

  init(isEnabled: Bool) { self.isEnabled = isEnabled }

  /// Rows that all files seen so far will need, roughly and on the high side.
  var estimatedRows: Int { files.values.reduce(0) { $0 + $1.frames.estimatedRows } }
  /// 64 KiB pages of text in all files.
  var pageCount: Int { files.values.reduce(0) { $0 + $1.elf.executableSpan / 65_536 + 2 } }
  var hasPending: Bool { files.values.contains { !$0.isCompiled } }

  /// Opens the files behind mappings that were not seen before.
  mutating func open(_ mappings: [MemoryMapping], pid: Int32) {
    guard isEnabled else { return }
    let debugFiles = UnwindDebugFiles(pid: pid)
    for mapping in mappings {
      guard let id = FileID(mapping), files[id] == nil, !bare.contains(id),
        let bytes = Self.bytes(mapping, pid: pid)
      else { continue }
      guard let elf = try? ELFFile(bytes) else {
        bare.insert(id)
        continue
      }
      add(elf, id, path: mapping.path, debugFiles)
    }
  }

  /// Opens a library that the dynamic linker of a process has told of, by its path there: it may be gone before its
  /// mapping is seen, and come again.
  mutating func open(path: String, pid: Int32) {
    guard isEnabled else { return }
    let debugFiles = UnwindDebugFiles(pid: pid)
    guard let bytes = debugFiles.open(path) else { return }
    let id = FileID(bytes.identity)
    guard files[id] == nil, !bare.contains(id), let elf = try? ELFFile(bytes) else { return }
    add(elf, id, path: path, debugFiles)
  }

  private mutating func add(
    _ elf: ELFFile, _ id: FileID, path: String, _ debugFiles: borrowing UnwindDebugFiles
  ) {
    let separate = debugFiles.find(elf, path: path, refused: &notes)
    let frames = CallFrameInfo(of: elf, separate: separate)
    if frames.byteCount > 0 {
      files[id] = File(path: path, elf: elf, frames: frames)
    } else {
      bare.insert(id)
    }
  }

  /// Compiles the files that wait, smallest first, and writes their tables; all of them, or as many as may hold up
  /// an attach.
  mutating func install(into kernel: borrowing KernelHalf, isBeforeAttach: Bool) {
    var spent = 0
    let pending = files.filter { !$0.value.isCompiled }.sorted {
      $0.value.frames.byteCount < $1.value.frames.byteCount
    }
    for (id, file) in pending {
      spent += file.frames.byteCount
      if isBeforeAttach, spent > Self.bytesBeforeAttach { break }
      compile(id)
    }
    for id in files.keys where files[id]?.table != nil && files[id]?.placement == nil { place(id, kernel) }
    publish(to: kernel)
  }

  /// Makes files that are compiled, or have nothing to compile, known by their inodes.
  private mutating func publish(to kernel: borrowing KernelHalf) {
    guard !isFull else { return }
    for id in bare where !published.contains(id) { publish(id, codeDelta: 0, nil, kernel) }
    for (id, file) in files where file.isCompiled && id.inode != 0 && !published.contains(id) {
      // A file whose segments of code are shifted differently is found by its mapping only.
      guard let delta = file.elf.codeDelta else { continue }
      publish(id, codeDelta: delta, file.placement, kernel)
    }
  }

  private mutating func publish(
    _ id: FileID, codeDelta: UInt64, _ placement: UnwindStore.Placement?, _ kernel: borrowing KernelHalf
  ) {
    published.insert(id)
    guard !isFull, !kernel.publish(id, codeDelta: codeDelta, placement) else { return }
    isFull = true
    notes.append("more than \(DRIP_FILES) files with code: stacks through new ones may be cut at first")
  }

  /// Where the dynamic linker of a process keeps its list for debuggers; nil if that cannot be told.
  func linkerDebug(_ mappings: [MemoryMapping]) -> UInt64? {
    for mapping in mappings {
      guard let id = FileID(mapping), let file = files[id], file.elf.soname?.hasPrefix("ld") == true,
        let symbol = try? file.elf.symbols(named: ["_r_debug"], isData: true)["_r_debug"],
        let address = file.elf.address(ofFileOffset: mapping.fileOffset)
      else { continue }
      return mapping.start &- address &+ symbol.address
    }
    return nil
  }

  /// The maps that the tables were placed in are gone (a backend was given up).
  mutating func forgetPlacements() {
    published = []
    isFull = false
    store = UnwindStore()
    for id in files.keys { files[id]?.placement = nil }
  }

  /// The mapping as the kernel half wants it.
  func entry(_ mapping: MemoryMapping) -> drip_mapping {
    var entry = drip_mapping(begin: mapping.start, end: mapping.end, bias: 0, first_page: 0, page_count: 0)
    guard let id = FileID(mapping), let file = files[id], let placement = file.placement,
      let address = file.elf.address(ofFileOffset: mapping.fileOffset)
    else { return entry }
    // pc - bias counts from the first byte of the table's first page.
    entry.bias = mapping.start &- address &+ placement.basePage << 16
    entry.first_page = UInt32(placement.firstPage)
    entry.page_count = UInt32(placement.pageCount)
    return entry
  }

  /// Whether the file behind a mapping has call frame information.
  func hasTable(_ mapping: MemoryMapping) -> Bool {
    FileID(mapping).flatMap { files[$0] }.map { !$0.frames.isEmpty } ?? false
  }

  private static func bytes(_ mapping: MemoryMapping, pid: Int32) -> (any ByteSource)? {
    guard mapping.path == vdso else {
      return (try? MemoryMap.openableFile(pid: pid, mapping: mapping)).flatMap { try? FileBytes(path: $0) }
    }
    let length = mapping.end - mapping.start
    guard length <= largestVDSO else { return nil }
    return ProcessMemory.bytes(pid: pid, at: mapping.start, count: Int(length)).map(MemoryBytes.init)
  }

  private mutating func compile(_ id: FileID) {
    guard let file = files[id] else { return }
    files[id]?.isCompiled = true
    let started = ContinuousClock.now
    guard let table = try? file.frames.compile() else {
      notes.append("\(file.path): call frame information unreadable, following frame pointers there")
      return
    }
    files[id]?.table = table
    figures.add(table, seconds: (ContinuousClock.now - started) / .seconds(1))
  }

  private mutating func place(_ id: FileID, _ kernel: borrowing KernelHalf) {
    guard let file = files[id], let table = file.table else { return }
    files[id]?.placement = store.install(table, rules: kernel.rules, pages: kernel.pages, rows: kernel.rows)
    guard files[id]?.placement == nil else { return }
    if !table.rows.isEmpty {
      notes.append("\(file.path): no room for its unwind table, following frame pointers there")
    }
    // It will not find room later either.
    files[id]?.table = nil
  }
}

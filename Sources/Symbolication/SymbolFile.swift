internal import CElfutils
internal import Glibc

/// One mapped ELF file with its symbols and debug information, read through libdwfl on demand.
///
/// Every file has a session of its own and is reported at bias 0, so all addresses here are virtual
/// addresses of the file: it does not matter where, or how often, the target maps it.
final class SymbolFile {
  /// The path as the target sees it.
  let path: String
  /// The GNU build id in lower-case hex.
  private(set) var buildID: String?
  private let target: TargetFiles
  private let session: OpaquePointer
  let module: OpaquePointer
  private(set) var segments: [Segment] = []
  private lazy var symbols = SymbolTable(module: module, segments: segments)
  private(set) lazy var lines = LineInfo(module: module, target: target)

  /// By the symbol's number: addresses of one function share its name.
  private var names: [Int32: String] = [:]

  /// A loadable part of the file.
  struct Segment {
    var fileOffset: UInt64
    var fileSize: UInt64
    var address: UInt64
    var size: UInt64
    var executable: Bool
  }

  /// Which file it is, so that it is opened once however often it is mapped.
  struct Identity: Hashable {
    var device: UInt64
    var inode: UInt64

    init(_ file: borrowing OpenFile) throws(OpenFailure) {
      var status = stat()
      guard fstat(file.descriptor, &status) == 0 else { throw OpenFailure(errno: errno) }
      device = UInt64(status.st_dev)
      inode = UInt64(status.st_ino)
    }
  }

  init(_ file: consuming OpenFile, path: String, target: TargetFiles) throws(OpenFailure) {
    // libdw would unpack anything that looks like an archive; nothing but ELF can be meant here.
    var magic: [UInt8] = [0, 0, 0, 0]
    let descriptor = file.descriptor
    let count = magic.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, 4, 0) }
    guard count == 4, magic == [0x7f, 0x45, 0x4c, 0x46] else { throw OpenFailure("not an ELF file") }

    guard let session = dwfl_begin(DebugFileSearch.callbacks) else { throw Self.failure() }
    dwfl_report_begin(session)
    guard let module = dwfl_report_elf(session, "module", path, descriptor, 0, true) else {
      let failure = Self.failure()
      dwfl_end(session)
      throw failure
    }
    // The session closes it from now on.
    _ = file.release()
    dwfl_report_end(session, nil, nil)
    var bias: GElf_Addr = 0
    guard let elf = dwfl_module_getelf(module, &bias) else {
      let failure = Self.failure()
      dwfl_end(session)
      throw failure
    }
    self.path = path
    self.target = target
    self.session = session
    self.module = module
    segments = Self.segments(of: elf)
    buildID = Self.buildID(of: elf).map(Self.hex)

    // The search for debug files gets to this object through the module's user data.
    var userData: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    dwfl_module_info(module, &userData, nil, nil, nil, nil, nil, nil)
    userData?.pointee = Unmanaged.passUnretained(target).toOpaque()
  }

  deinit { dwfl_end(session) }

  /// The name of the function at an address of the file, demangled, from the symbol table.
  func functionName(at address: UInt64) -> String? {
    guard let symbol = symbols.symbol(at: address) else { return nil }
    if let known = names[symbol] { return known }
    let name = symbols.name(symbol).map(Demangler.readable)
    names[symbol] = name
    return name
  }

  /// The virtual address in the file of what a mapping shows at `address`.
  func virtualAddress(of address: UInt64, in mapping: SymbolMapping) -> UInt64 {
    let offset = address &- mapping.start &+ mapping.fileOffset
    // Segments overlap in the file's pages; a mapping starts where its own segment's page starts.
    let page: UInt64 = 4096
    let candidates = segments.filter { segment in
      offset >= segment.fileOffset & ~(page - 1) && offset < segment.fileOffset &+ max(segment.fileSize, 1)
    }
    let segment =
      candidates.first { $0.executable == mapping.executable && offset >= $0.fileOffset }
      ?? candidates.first { $0.executable == mapping.executable } ?? candidates.first
    guard let segment else { return offset }
    return segment.address &+ offset &- segment.fileOffset
  }

  private static func failure() -> OpenFailure {
    OpenFailure(SafeText.string(dwfl_errmsg(-1), maximum: 256) ?? "cannot be read")
  }

  private static func segments(of elf: OpaquePointer) -> [Segment] {
    var count = 0
    guard elf_getphdrnum(elf, &count) == 0 else { return [] }
    return (0..<min(count, 4096)).compactMap { index in
      var header = GElf_Phdr()
      guard gelf_getphdr(elf, Int32(index), &header) != nil, header.p_type == PT_LOAD else { return nil }
      return Segment(
        fileOffset: header.p_offset, fileSize: header.p_filesz, address: header.p_vaddr,
        size: header.p_memsz, executable: header.p_flags & UInt32(PF_X) != 0)
    }
  }

  /// The bytes of the GNU build id of a file.
  static func buildID(of elf: OpaquePointer) -> [UInt8]? {
    var bytes: UnsafeRawPointer?
    let count = dwelf_elf_gnu_build_id(elf, &bytes)
    guard count > 0, count <= 64, let bytes else { return nil }
    return Array(UnsafeRawBufferPointer(start: bytes, count: count))
  }

  static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

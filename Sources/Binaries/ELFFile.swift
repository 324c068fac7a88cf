/// A 64-bit little-endian ELF file (gABI 4.1). Headers are read at once, tables when they are asked for; every
/// count and offset in the file is checked before it is used.
public final class ELFFile: Sendable {
  /// A loadable part of the file (PT_LOAD).
  public struct Segment: Sendable, Hashable {
    public var address: UInt64
    public var fileOffset: UInt64
    public var fileSize: UInt64
    public var memorySize: UInt64
    public var isExecutable: Bool
  }

  public struct Section: Sendable, Hashable {
    public var name: String
    public var type: UInt32
    public var address: UInt64
    public var offset: UInt64
    public var size: UInt64
    public var link: UInt32
  }

  public let bytes: any ByteSource
  /// e_machine: 62 is x86-64, 183 is AArch64.
  public let machine: UInt16
  /// A position-independent file: a library, or a PIE.
  public let isDynamicObject: Bool
  public let segments: [Segment]
  public let sections: [Section]
  /// The dynamic linker's path (PT_INTERP); nil for libraries and static programs.
  public let interpreter: String?
  let dynamicRange: Range<UInt64>?
  let noteRanges: [Range<UInt64>]

  public init(_ bytes: any ByteSource) throws(BinaryError) {
    self.bytes = bytes
    guard bytes.count >= 64 else { throw bytes.count >= 20 ? Self.identify(bytes) : .notELF }
    let header = try bytes.read(at: 0, count: 64)
    guard header[0..<4].elementsEqual([0x7f, 0x45, 0x4c, 0x46]) else { throw .notELF }
    guard header[4] == 2 else { throw .thirtyTwoBit }
    guard header[5] == 1 else { throw .wrongByteOrder }
    guard let type = header.integer(UInt16.self, at: 16), let machine = header.integer(UInt16.self, at: 18),
      let programs = header.integer(UInt64.self, at: 32), let sectionTable = header.integer(UInt64.self, at: 40),
      let programSize = header.integer(UInt16.self, at: 54), let programCount = header.integer(UInt16.self, at: 56),
      let sectionSize = header.integer(UInt16.self, at: 58), let sectionCount = header.integer(UInt16.self, at: 60),
      let nameIndex = header.integer(UInt16.self, at: 62)
    else { throw .truncated(what: "the header") }
    self.machine = machine
    isDynamicObject = type == 3

    var segments: [Segment] = []
    var interpreter: String?
    var dynamic: Range<UInt64>?
    var notes: [Range<UInt64>] = []
    if programCount > 0 {
      guard programSize >= 56 else { throw .truncated(what: "the program headers") }
      let table = try bytes.read(at: programs, count: Int(programSize) * Int(programCount))
      for index in 0..<Int(programCount) {
        let at = index * Int(programSize)
        guard let kind = table.integer(UInt32.self, at: at), let flags = table.integer(UInt32.self, at: at + 4),
          let offset = table.integer(UInt64.self, at: at + 8), let address = table.integer(UInt64.self, at: at + 16),
          let fileSize = table.integer(UInt64.self, at: at + 32),
          let memorySize = table.integer(UInt64.self, at: at + 40)
        else { continue }
        let (end, overflow) = offset.addingReportingOverflow(fileSize)
        guard !overflow, end <= bytes.count else { continue }
        switch kind {
        case 1:
          segments.append(
            Segment(
              address: address, fileOffset: offset, fileSize: fileSize, memorySize: memorySize,
              isExecutable: flags & 1 != 0))
        case 2: dynamic = offset..<end
        case 3 where fileSize < 4096:
          interpreter = Self.text(try bytes.read(at: offset, count: Int(fileSize)), at: 0)
        case 4: notes.append(offset..<end)
        default: break
        }
      }
    }
    self.segments = segments
    self.interpreter = interpreter
    dynamicRange = dynamic
    noteRanges = notes
    sections = Self.readSections(
      bytes, at: sectionTable, entrySize: Int(sectionSize), count: Int(sectionCount), names: Int(nameIndex))
  }

  /// What a file too short for a 64-bit header is.
  private static func identify(_ bytes: any ByteSource) -> BinaryError {
    guard let start = try? bytes.read(at: 0, count: 5), start[0..<4].elementsEqual([0x7f, 0x45, 0x4c, 0x46]) else {
      return .notELF
    }
    return start[4] == 1 ? .thirtyTwoBit : .truncated(what: "the header")
  }

  /// Section headers are for tools, not for the loader: a file may come without, or with damaged ones.
  private static func readSections(
    _ bytes: any ByteSource, at offset: UInt64, entrySize: Int, count: Int, names: Int
  ) -> [Section] {
    guard offset > 0, entrySize >= 64, count > 0, let table = try? bytes.read(at: offset, count: entrySize * count)
    else { return [] }
    var raw: [(name: Int, section: Section)] = []
    for index in 0..<count {
      let at = index * entrySize
      guard let name = table.integer(UInt32.self, at: at), let type = table.integer(UInt32.self, at: at + 4),
        let address = table.integer(UInt64.self, at: at + 16), let start = table.integer(UInt64.self, at: at + 24),
        let size = table.integer(UInt64.self, at: at + 32), let link = table.integer(UInt32.self, at: at + 40)
      else { return [] }
      raw.append(
        (Int(name), Section(name: "", type: type, address: address, offset: start, size: size, link: link)))
    }
    var strings: [UInt8] = []
    if names < raw.count, raw[names].section.size < 1 << 24 {
      strings = (try? bytes.read(at: raw[names].section.offset, count: Int(raw[names].section.size))) ?? []
    }
    return raw.map { entry in
      var section = entry.section
      section.name = text(strings, at: entry.name)
      return section
    }
  }

  /// The zero-terminated string at an offset.
  static func text(_ bytes: [UInt8], at offset: Int) -> String {
    guard offset >= 0, offset < bytes.count else { return "" }
    return String(decoding: bytes[offset...].prefix { $0 != 0 }, as: UTF8.self)
  }

  public func section(named name: String) -> Section? { sections.first { $0.name == name && $0.type != 8 } }

  /// Bytes of the file at an offset.
  public func bytes(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    try bytes.read(at: offset, count: count)
  }

  /// The file offset of a virtual address, through the segments.
  public func fileOffset(ofAddress address: UInt64) -> UInt64? {
    for segment in segments where address >= segment.address && address - segment.address < segment.fileSize {
      return segment.fileOffset + (address - segment.address)
    }
    return nil
  }

  /// The virtual address of a file offset. A mapping may begin up to a page before its segment does, so the
  /// offset is rounded down like the loader rounds it.
  public func address(ofFileOffset offset: UInt64) -> UInt64? {
    let page: UInt64 = 4096
    for segment in segments {
      let start = segment.fileOffset & ~(page - 1)
      if offset >= start, offset < segment.fileOffset &+ segment.fileSize {
        return (segment.address & ~(page - 1)) &+ (offset - start)
      }
    }
    return nil
  }

  /// Code from a virtual address on: `count` bytes, or fewer at the end of the segment.
  public func code(at address: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    for segment in segments where address >= segment.address && address - segment.address < segment.fileSize {
      let into = address - segment.address
      let available = min(UInt64(max(count, 0)), segment.fileSize - into)
      return try bytes.read(at: segment.fileOffset + into, count: Int(available))
    }
    throw .truncated(what: "the code at \(String(address, radix: 16))")
  }

  /// Bytes between the lowest and the highest address of code.
  public var executableSpan: Int {
    let code = segments.filter(\.isExecutable)
    guard let low = code.map(\.address).min(), let high = code.map({ $0.address &+ $0.memorySize }).max(), high > low,
      high - low < 1 << 40
    else { return 0 }
    return Int(high - low)
  }
}

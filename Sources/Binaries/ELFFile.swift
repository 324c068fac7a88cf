/// A 64-bit little-endian ELF file for one machine (gABI 4.1). Headers are read at once, tables when they are asked
/// for; every count and offset in the file is checked before it is used.
public final class ELFFile: Sendable {
  /// e_type, as far as it matters.
  public enum ObjectType: Sendable, Hashable {
    /// ET_EXEC: a program at a fixed address.
    case executable
    /// ET_DYN: a library or a position-independent program.
    case dynamic
    case other(UInt16)
  }

  /// A loadable part of the file (PT_LOAD). Sizes and offsets are bytes.
  public struct Segment: Sendable, Hashable {
    public var address: UInt64
    public var fileOffset: UInt64
    public var fileSize: UInt64
    public var memorySize: UInt64
    public var isExecutable: Bool
  }

  public let bytes: any ByteSource
  public let type: ObjectType
  /// e_machine; a raw value of `Machine`.
  public let machine: UInt16
  public let segments: [Segment]
  /// Empty if the file comes without section headers, or with damaged ones.
  public let sections: [Section]
  /// The dynamic linker's path (PT_INTERP); nil for most libraries and for static programs.
  public let interpreter: String?
  /// The entries of PT_DYNAMIC; empty for static programs.
  let dynamic: DynamicTable
  let notes: [ELFHeaders.Note]

  /// Reads the headers. Throws for anything but ELF64, little-endian, of that machine.
  public init(_ bytes: any ByteSource, for machine: Machine = .host) throws(BinaryError) {
    let headers = try ELFHeaders(bytes, for: machine)
    self.bytes = bytes
    self.machine = headers.machine
    type =
      switch headers.type {
      case 2: .executable
      case 3: .dynamic
      default: .other(headers.type)
      }
    segments = headers.segments
    interpreter = headers.interpreter
    notes = headers.notes
    dynamic = DynamicTable(bytes, at: headers.dynamic)
    sections = Section.read(bytes, headers)
  }

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

  /// The virtual address of a file offset. The load bias of a mapping is its start minus this. A mapping may
  /// begin up to a page before its segment does, so offsets are rounded down like the loader rounds them; where
  /// that makes two segments claim a page, the executable one wins, for it is code that addresses are asked for.
  public func address(ofFileOffset offset: UInt64) -> UInt64? {
    let page: UInt64 = 4096
    for segment in segments.filter(\.isExecutable) + segments.filter({ !$0.isExecutable }) {
      let start = segment.fileOffset & ~(page - 1)
      if offset >= start, offset < segment.fileOffset &+ segment.fileSize {
        return (segment.address & ~(page - 1)) &+ (offset - start)
      }
    }
    return nil
  }

  /// Virtual address minus file offset in executable segments, modulo 2^64; nil if there is no such segment, or if they
  /// differ.
  public var codeDelta: UInt64? {
    let deltas = Set(segments.filter(\.isExecutable).map { $0.address &- $0.fileOffset })
    return deltas.count == 1 ? deltas.first : nil
  }

  /// Code from a virtual address on: `count` bytes, or fewer at the end of the segment. Throws `truncated` if
  /// no executable segment holds the address.
  public func code(at address: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    for segment in segments
    where segment.isExecutable && address >= segment.address && address - segment.address < segment.fileSize {
      let into = address - segment.address
      let available = min(UInt64(max(count, 0)), segment.fileSize - into)
      return try bytes.read(at: segment.fileOffset + into, count: Int(available))
    }
    throw .truncated(what: "the code at 0x\(String(address, radix: 16))")
  }

  /// Bytes between the lowest and the highest address of code; 0 if there is none, or if it is absurd.
  public var executableSpan: Int {
    let code = segments.filter(\.isExecutable)
    guard let low = code.map(\.address).min(), let high = code.map({ $0.address &+ $0.memorySize }).max(),
      high > low,
      high - low < 1 << 40
    else { return 0 }
    return Int(high - low)
  }
}

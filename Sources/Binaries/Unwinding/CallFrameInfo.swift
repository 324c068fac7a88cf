/// The sections of a file that say how to unwind its code.
public struct CallFrameInfo: Sendable {
  /// Which kind of section it is.
  public enum Format: String, Sendable, Hashable {
    /// LSB core, "Exception Frames". It is in memory, and nearly every file has it.
    case ehFrame = ".eh_frame"
    /// DWARF 5 section 6.4.1: of files that were compiled with debug information and without exceptions.
    case debugFrame = ".debug_frame"
    /// The SFrame format, versions 1 and 2: by `as --gsframe`.
    case sframe = ".sframe"
  }

  /// The contents of one section; `address` is that of its first byte in memory.
  public struct Section: Sendable {
    public var format: Format
    public var bytes: [UInt8]
    public var address: UInt64

    public init(_ format: Format, bytes: [UInt8], address: UInt64) {
      self.format = format
      self.bytes = bytes
      self.address = address
    }
  }

  private struct Part: Sendable {
    var format: Format
    var elf: ELFFile
    var section: ELFFile.Section
    /// Bytes of its contents, decompressed.
    var size: Int
  }

  /// Larger sections are not read; those of browsers have 14 MB.
  private static let largestSection: UInt64 = 1 << 30

  private let code: ELFFile
  private var parts: [Part] = []

  /// `separate` is the file that `strip` put the debug information into (`DebugFile`): it counts where the file itself
  /// has no .debug_frame. Its addresses are those of the file.
  public init(of elf: ELFFile, separate: ELFFile? = nil) {
    code = elf
    add(.ehFrame, elf)
    add(.sframe, elf)
    if elf.hasDebugFrame {
      add(.debugFrame, elf)
    } else if let separate {
      add(.debugFrame, separate)
    }
  }

  /// Bytes of all sections together, decompressed.
  public var byteCount: Int { parts.reduce(0) { $0 + $1.size } }
  /// Rows that will come of it, roughly and on the high side: measured are 5.8 to 6.6 bytes of .eh_frame a row; the
  /// shortest row of .sframe has 3.
  public var estimatedRows: Int {
    parts.reduce(0) { $0 + $1.size / ($1.format == .sframe ? 3 : 5) }
  }
  /// Whether there are entries at all; a section that only ends has 4 bytes.
  public var isEmpty: Bool { byteCount <= 8 }

  private mutating func add(_ format: Format, _ elf: ELFFile) {
    guard let section = elf.section(named: format.rawValue), section.size < Self.largestSection,
      elf.machine == code.machine
    else { return }
    let size = elf.contentSize(of: section)
    guard size < Self.largestSection else { return }
    parts.append(Part(format: format, elf: elf, section: section, size: Int(size)))
  }

  /// Reads the sections. Throws if one cannot be read that is there.
  public func sections() throws(BinaryError) -> [Section] {
    var result: [Section] = []
    for part in parts {
      result.append(
        Section(part.format, bytes: try part.elf.contents(of: part.section), address: part.section.address))
    }
    return result
  }

  /// Compiles all of it into one table.
  public func compile() throws(BinaryError) -> UnwindTable {
    UnwindTable.compile(
      try sections(),
      text: code.segments.filter(\.isExecutable).map { $0.address..<$0.address + $0.fileSize },
      machine: Machine(rawValue: code.machine) ?? .host)
  }
}

extension CallFrameInfo.Section {
  /// Goes through the functions: `step` gets each rule with the address that it begins at, `ended` the function whose
  /// steps these were. Returns how many entries could not be read or understood.
  func forEachFunction(
    _ machine: Machine, step: (UInt64, UnwindRule) -> Void, ended: (Range<UInt64>) -> Void
  ) -> Int {
    bytes.withUnsafeBytes { bytes in
      if format == .sframe {
        var reader = SFrameReader(bytes: bytes, address: address, machine: machine)
        while let range = reader.nextFunction(emit: step) { ended(range) }
        return reader.skipped
      }
      var reader = CallFrameReader(
        format == .debugFrame ? .debugFrame : .ehFrame, bytes: bytes, address: address, machine: machine)
      while let range = reader.nextFunction(emit: step) { ended(range) }
      return reader.skipped
    }
  }
}

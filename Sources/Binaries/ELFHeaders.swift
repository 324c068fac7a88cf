/// The ELF header and the program headers, decoded and checked (gABI 4.1, chapters 4 and 5).
struct ELFHeaders {
  var type: UInt16 = 0
  var machine: UInt16 = 0
  var segments: [ELFFile.Segment] = []
  var interpreter: String?
  var dynamic: Range<UInt64>?
  var notes: [Note] = []
  var sectionTable: UInt64 = 0
  var sectionSize = 0
  var sectionCount = 0
  var sectionNames = 0

  /// A PT_NOTE segment.
  struct Note {
    var range: Range<UInt64>
    var alignment: UInt64
  }

  private static let programSize = 56

  init(_ bytes: any ByteSource, for wanted: Machine) throws(BinaryError) {
    guard bytes.count >= 64 else { throw Self.identify(bytes) }
    let header = try bytes.read(at: 0, count: 64)
    guard header[0..<4].elementsEqual([0x7f, 0x45, 0x4c, 0x46]) else { throw .notELF }
    guard header[4] == 2 else { throw header[4] == 1 ? .thirtyTwoBit : .notELF }
    guard header[5] == 1 else { throw .wrongByteOrder }
    guard let type = header.integer(UInt16.self, at: 16), let machine = header.integer(UInt16.self, at: 18),
      let programs = header.integer(UInt64.self, at: 32), let table = header.integer(UInt64.self, at: 40),
      let programSize = header.integer(UInt16.self, at: 54),
      let programCount = header.integer(UInt16.self, at: 56),
      let sectionSize = header.integer(UInt16.self, at: 58),
      let sectionCount = header.integer(UInt16.self, at: 60),
      let names = header.integer(UInt16.self, at: 62)
    else { throw .truncated(what: "the header") }
    guard machine == wanted.rawValue else { throw .wrongMachine(machine) }
    self.type = type
    self.machine = machine
    sectionTable = table
    self.sectionSize = Int(sectionSize)
    self.sectionCount = Int(sectionCount)
    sectionNames = Int(names)
    guard programCount > 0 else { return }
    // Fixed by the format; with it the table is at most 3.5 MiB.
    guard Int(programSize) == Self.programSize else { throw .truncated(what: "a program header") }
    let headers = try bytes.read(at: programs, count: Self.programSize * Int(programCount))
    for at in stride(from: 0, to: headers.count, by: Self.programSize) { try add(headers, at: at, bytes) }
  }

  /// What a file too short for a 64-bit header is.
  private static func identify(_ bytes: any ByteSource) -> BinaryError {
    guard let start = try? bytes.read(at: 0, count: 5), start[0..<4].elementsEqual([0x7f, 0x45, 0x4c, 0x46])
    else {
      return .notELF
    }
    return start[4] == 1 ? .thirtyTwoBit : .truncated(what: "the header")
  }

  private mutating func add(_ table: [UInt8], at: Int, _ bytes: any ByteSource) throws(BinaryError) {
    guard let kind = table.integer(UInt32.self, at: at), let flags = table.integer(UInt32.self, at: at + 4),
      let offset = table.integer(UInt64.self, at: at + 8),
      let address = table.integer(UInt64.self, at: at + 16),
      let fileSize = table.integer(UInt64.self, at: at + 32),
      let memorySize = table.integer(UInt64.self, at: at + 40),
      let alignment = table.integer(UInt64.self, at: at + 48)
    else { return }
    // A segment that is not in the file cannot be read; the others still can.
    let (end, overflow) = offset.addingReportingOverflow(fileSize)
    guard !overflow, end <= bytes.count, !address.addingReportingOverflow(fileSize).overflow else { return }
    switch kind {
    case 1:  // PT_LOAD
      segments.append(
        ELFFile.Segment(
          address: address, fileOffset: offset, fileSize: fileSize, memorySize: memorySize,
          isExecutable: flags & 1 != 0))
    case 2: dynamic = offset..<end  // PT_DYNAMIC
    case 3 where fileSize <= 4096:  // PT_INTERP
      interpreter = try bytes.read(at: offset, count: Int(fileSize)).string(at: 0, limit: 4096)
    case 4: notes.append(Note(range: offset..<end, alignment: alignment))  // PT_NOTE
    default: break
    }
  }
}

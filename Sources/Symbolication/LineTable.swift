internal import CElfutils

/// The line table of one compilation unit in 12 bytes a row, where libdw keeps 40 and more for as long as the file is
/// open: those are what most of the memory of reading lines went to.
struct LineTable {
  private var addresses: [UInt64] = []
  /// Line 0 ends a sequence: what follows belongs to no line of this unit.
  private var rows: [Row] = []
  private let files: [String?]

  private struct Row: Equatable {
    var line: UInt32
    var file: UInt32
  }

  /// More rows than any real compilation unit has.
  private static let maximumRows = 16_000_000

  static let none = LineTable()

  private init() { files = [] }

  /// Copies the table of a unit. Its strings are copied, too, so that the unit may be closed.
  init(_ unit: inout Dwarf_Die) {
    var table: OpaquePointer?
    var fileCount = 0
    guard dwarf_getsrcfiles(&unit, &table, &fileCount) == 0 else {
      files = []
      return
    }
    let directory = SourcePath.directory(of: &unit)
    files = (0..<min(fileCount, 1 << 20)).map { index in
      SourcePath.make(dwarf_filesrc(table, index, nil, nil), in: directory)
    }
    var lines: OpaquePointer?
    var count = 0
    guard dwarf_getsrclines(&unit, &lines, &count) == 0 else { return }
    for index in 0..<min(count, Self.maximumRows) { add(dwarf_onesrcline(lines, index)) }
    // What grew by doubling is kept for long.
    addresses = Array(addresses)
    rows = Array(rows)
  }

  /// How many rows are kept.
  var count: Int { rows.count }

  private mutating func add(_ line: OpaquePointer?) {
    var address: Dwarf_Addr = 0
    var number: Int32 = 0
    var isEnd = false
    var table: OpaquePointer?
    var file = 0
    guard let line, dwarf_lineaddr(line, &address) == 0, dwarf_lineno(line, &number) == 0,
      dwarf_lineendsequence(line, &isEnd) == 0, dwarf_line_file(line, &table, &file) == 0
    else { return }
    let row =
      isEnd ? Row(line: 0, file: .max) : Row(line: UInt32(max(number, 0)), file: UInt32(clamping: file))
    if rows.last == row { return }
    // libdw has sorted them; the last of several at one address counts.
    if addresses.last == address {
      rows[rows.count - 1] = row
    } else {
      addresses.append(address)
      rows.append(row)
    }
  }

  /// The source position of an instruction.
  func position(at pc: UInt64) -> LineInfo.Position {
    var low = 0
    var high = addresses.count
    while low < high {
      let middle = (low + high) / 2
      if addresses[middle] <= pc { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return LineInfo.Position() }
    let row = rows[low - 1]
    return LineInfo.Position(file: file(UInt64(row.file)), line: row.line > 0 ? Int(row.line) : nil)
  }

  /// A source file by its number in this unit.
  func file(_ index: UInt64) -> String? { index < UInt64(files.count) ? files[Int(index)] : nil }
}

/// Reads line tables through a handle of its own, which is closed when it has grown: libdw never gives back a part.
final class LineReader {
  private let elf: OpaquePointer?
  private var handle: OpaquePointer?
  private var decoded = 0
  private var tables: [UInt64: LineTable] = [:]

  /// Rows that libdw may hold at a time: about 20 MiB.
  private static let maximumDecoded = 500_000

  init(_ dwarf: OpaquePointer?) { elf = dwarf.flatMap { dwarf_getelf($0) } }

  deinit { if handle != nil { dwarf_end(handle) } }

  /// The table of the unit whose DIE stands at an offset.
  func table(unit offset: UInt64) -> LineTable {
    if let known = tables[offset] { return known }
    let table = read(offset)
    tables[offset] = table
    return table
  }

  private func read(_ offset: UInt64) -> LineTable {
    if handle == nil { handle = elf.flatMap { dwarf_begin_elf($0, DWARF_C_READ, nil) } }
    var unit = Dwarf_Die()
    guard handle != nil, dwarf_offdie(handle, offset, &unit) != nil else { return .none }
    let table = LineTable(&unit)
    decoded += table.count
    if decoded > Self.maximumDecoded {
      dwarf_end(handle)
      handle = nil
      decoded = 0
    }
    return table
  }
}

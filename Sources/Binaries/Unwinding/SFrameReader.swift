/// Goes through a section of the SFrame format, versions 1 and 2 (GNU binutils, "The SFrame Format"; version 3 is not
/// known). It says the same as .eh_frame for most functions, in a table that needs no program to be run: for each
/// function a list of rows, and in each row the CFA's base and offset, and where return address and frame pointer are.
struct SFrameReader {
  private struct Header {
    var version: UInt8
    var flags: UInt8
    var hasFixedReturn: Bool
    var functionCount: Int
    var functionsAt: Int
    var rowsAt: Int
  }

  private static let magic: UInt16 = 0xdee2
  private static let headerSize = 28
  /// Function addresses count from their own place, not from the section's.
  private static let flagRelativeToField: UInt8 = 4
  /// e_machine's counterparts in the header; the big-endian arm64 (1) is none of drip's.
  private static let architectures: [Machine: UInt8] = [.arm64: 2, .x86_64: 3]

  private let bytes: UnsafeRawBufferPointer
  private let address: UInt64
  private let machine: Machine
  private let header: Header?
  private var next = 0
  /// Rows that may still be read: a row takes 3 bytes, and functions do not share any.
  private var rowsLeft: Int
  /// Functions that were damaged or use what drip does not know.
  private(set) var skipped = 0

  init(bytes: UnsafeRawBufferPointer, address: UInt64, machine: Machine) {
    self.bytes = bytes
    self.address = address
    self.machine = machine
    header = Self.readHeader(bytes, machine)
    rowsLeft = bytes.count / 3
    if header == nil, !bytes.isEmpty { skipped = 1 }
  }

  private static func readHeader(_ bytes: UnsafeRawBufferPointer, _ machine: Machine) -> Header? {
    var cursor = EhCursor(bytes, at: 0, end: bytes.count)
    let isMagic = cursor.fixed(UInt16.self) == magic
    let version = cursor.fixed(UInt8.self)
    let flags = cursor.fixed(UInt8.self)
    let isMachine = cursor.fixed(UInt8.self) == architectures[machine]
    _ = cursor.fixed(Int8.self)  // fixed offset of the frame pointer: no machine has one
    let fixedReturn = cursor.fixed(Int8.self)
    let auxiliary = Int(cursor.fixed(UInt8.self))
    let functions = cursor.fixed(UInt32.self)
    cursor.skip(8)  // count of rows and their bytes: each function says where its own are
    let functionsAt = Int(cursor.fixed(UInt32.self))
    let rowsAt = Int(cursor.fixed(UInt32.self))
    guard !cursor.failed, isMagic, isMachine, version == 1 || version == 2,
      fixedReturn == (machine == .x86_64 ? -8 : 0)
    else { return nil }
    let end = headerSize + auxiliary
    return Header(
      version: version, flags: flags, hasFixedReturn: fixedReturn != 0, functionCount: Int(functions),
      functionsAt: end + functionsAt, rowsAt: end + rowsAt)
  }

  /// The next function that makes sense. Nil at the end.
  mutating func nextFunction(emit: (UInt64, UnwindRule) -> Void) -> Range<UInt64>? {
    guard let header else { return nil }
    let size = header.version == 1 ? 17 : 20
    while next < header.functionCount {
      let at = header.functionsAt + next * size
      guard at + size <= bytes.count else {
        next = header.functionCount
        skipped += 1
        return nil
      }
      next += 1
      guard let range = function(at: at, header, emit) else {
        skipped += 1
        continue
      }
      if !range.isEmpty { return range }
    }
    return nil
  }

  private mutating func function(at offset: Int, _ header: Header, _ emit: (UInt64, UnwindRule) -> Void)
    -> Range<
      UInt64
    >?
  {
    var cursor = EhCursor(bytes, at: offset, end: bytes.count)
    let place = Int64(cursor.fixed(Int32.self))
    let length = UInt64(cursor.fixed(UInt32.self))
    let firstRow = Int(cursor.fixed(UInt32.self))
    let count = Int(cursor.fixed(UInt32.self))
    let info = cursor.fixed(UInt8.self)
    let block = header.version == 1 ? 16 : UInt64(cursor.fixed(UInt8.self))
    let origin = header.flags & Self.flagRelativeToField != 0 ? address &+ UInt64(offset) : address
    let start = origin &+ UInt64(bitPattern: place)
    let (limit, overflow) = start.addingReportingOverflow(length)
    guard !cursor.failed, !overflow, info & 0x0f <= 2, count <= rowsLeft else { return nil }
    rowsLeft -= count
    var rows = EhCursor(bytes, at: header.rowsAt + firstRow, end: bytes.count)
    // Rows that hold for each block of the code anew: PLT stubs.
    if info & 0x10 != 0 {
      guard count == 2, block == 16, let first = row(&rows, info & 0x0f, header),
        let second = row(&rows, info & 0x0f, header), first.offset == 0, first.rule == Self.stub(8),
        second.rule == Self.stub(16), second.offset < 16, machine == .x86_64
      else { return nil }
      emit(start, UnwindRule(.plt, offset: Int32(second.offset)))
      return start..<limit
    }
    // All or nothing: half of a function's rules would mislead.
    var steps: [(UInt64, UnwindRule)] = []
    for _ in 0..<count {
      guard let row = row(&rows, info & 0x0f, header), row.offset < length else { return nil }
      steps.append((start + row.offset, row.rule))
    }
    for (address, rule) in steps { emit(address, rule) }
    return start..<limit
  }

  private static func stub(_ offset: Int32) -> UnwindRule { UnwindRule(.stackPointer, offset: offset) }

  private func row(_ cursor: inout EhCursor, _ width: UInt8, _ header: Header) -> (
    offset: UInt64, rule: UnwindRule
  )? {
    let offset =
      switch width {
      case 0: UInt64(cursor.fixed(UInt8.self))
      case 1: UInt64(cursor.fixed(UInt16.self))
      default: UInt64(cursor.fixed(UInt32.self))
      }
    let info = cursor.fixed(UInt8.self)
    let count = Int(info >> 1 & 0x0f)
    var values: [Int32] = []
    for _ in 0..<count {
      switch info >> 5 & 3 {
      case 0: values.append(Int32(cursor.fixed(Int8.self)))
      case 1: values.append(Int32(cursor.fixed(Int16.self)))
      case 2: values.append(cursor.fixed(Int32.self))
      default: return nil
      }
    }
    guard !cursor.failed else { return nil }
    return (offset, rule(isStackPointer: info & 1 != 0, values, header))
  }

  /// `values`: the CFA's offset, then the return address's unless it is fixed, then the frame pointer's.
  private func rule(isStackPointer: Bool, _ values: [Int32], _ header: Header) -> UnwindRule {
    guard let offset = values.first else { return UnwindRule(.stop) }  // no offsets: the outermost frame
    let base: UnwindRule.CFA = isStackPointer ? .stackPointer : .framePointer
    var rest = values.dropFirst()
    let returnOffset = header.hasFixedReturn ? nil : rest.popFirst()
    guard rest.count <= 1 else { return UnwindRule(.unsupported) }
    if let saved = rest.first {
      guard let saved16 = Int16(exactly: saved) else { return UnwindRule(.unsupported) }
      if header.hasFixedReturn {
        return UnwindRule(base, offset: offset, framePointer: .atCFA, fpOffset: saved16)
      }
      guard returnOffset == saved + 8 else { return UnwindRule(.unsupported) }
      return UnwindRule(
        base, offset: offset, framePointer: .atCFA, fpOffset: saved16, returnAddress: .aboveFP)
    }
    if header.hasFixedReturn { return UnwindRule(base, offset: offset) }
    guard let returnOffset else { return UnwindRule(base, offset: offset, returnAddress: .inRegister) }
    guard let place = Int16(exactly: returnOffset) else { return UnwindRule(.unsupported) }
    return UnwindRule(base, offset: offset, fpOffset: place, returnAddress: .atCFA)
  }
}

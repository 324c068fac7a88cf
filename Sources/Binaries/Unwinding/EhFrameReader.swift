/// Goes through the entries of an .eh_frame section (LSB core, "Exception Frames"): CIEs are read when an FDE
/// refers to them, and kept.
struct EhFrameReader {
  private let bytes: UnsafeRawBufferPointer
  private let address: UInt64
  private var at = 0
  private var machines: [Int: CommonEntry?] = [:]
  /// Entries that were damaged or use what drip does not know.
  private(set) var skipped = 0

  private struct CommonEntry {
    var machine: CFAMachine
    var pointerEncoding: UInt8
    var hasAugmentationData: Bool
  }

  init(bytes: UnsafeRawBufferPointer, address: UInt64) {
    self.bytes = bytes
    self.address = address
  }

  /// Runs the next FDE that makes sense. Nil at the end.
  mutating func nextFunction(emit: (UInt64, UnwindRule) -> Void) -> Range<UInt64>? {
    while let (content, end, identifierAt, identifier) = nextEntry() {
      guard identifier != 0 else { continue }  // a CIE
      guard let range = function(content, end, identifierAt - Int(identifier), emit) else {
        skipped += 1
        continue
      }
      if !range.isEmpty { return range }
    }
    return nil
  }

  /// The next entry's content, its end, and its identifier: 0 for a CIE, else how far back the CIE stands.
  private mutating func nextEntry() -> (Int, Int, Int, UInt64)? {
    var cursor = EhCursor(bytes, at: at, end: bytes.count)
    var length = UInt64(cursor.fixed(UInt32.self))
    if length == 0xffff_ffff { length = cursor.fixed(UInt64.self) }
    // A length of 0 ends the section's entries.
    guard !cursor.failed, length >= 4, length <= UInt64(bytes.count - cursor.at) else { return nil }
    let identifierAt = cursor.at
    let end = cursor.at + Int(length)
    at = end
    let identifier = UInt64(cursor.fixed(UInt32.self))
    return (cursor.at, end, identifierAt, identifier)
  }

  private mutating func function(
    _ content: Int, _ end: Int, _ commonAt: Int, _ emit: (UInt64, UnwindRule) -> Void
  ) -> Range<UInt64>? {
    guard var common = common(at: commonAt) else { return nil }
    var cursor = EhCursor(bytes, at: content, end: end)
    guard let start = cursor.pointer(encoding: common.pointerEncoding, base: address),
      // The length has the same format, but is a plain number.
      let length = cursor.pointer(encoding: common.pointerEncoding & 0x0f, base: 0)
    else { return nil }
    if common.hasAugmentationData { cursor.skip(cursor.unsigned()) }
    let (limit, overflow) = start.addingReportingOverflow(length)
    guard !cursor.failed, !overflow else { return nil }
    if length == 0 { return start..<start }
    guard common.machine.run(cursor, from: start, emit: emit) else {
      // Half of a program's rules would mislead: from its start on, there is none.
      emit(start, UnwindRule(.none))
      skipped += 1
      return start..<limit
    }
    return start..<limit
  }

  private mutating func common(at offset: Int) -> CommonEntry? {
    if let known = machines[offset] { return known }
    let entry = readCommon(at: offset)
    machines[offset] = .some(entry)
    return entry
  }

  private func readCommon(at offset: Int) -> CommonEntry? {
    var cursor = EhCursor(bytes, at: offset, end: bytes.count)
    var length = UInt64(cursor.fixed(UInt32.self))
    if length == 0xffff_ffff { length = cursor.fixed(UInt64.self) }
    guard !cursor.failed, length >= 4, length <= UInt64(bytes.count - cursor.at) else { return nil }
    let end = cursor.at + Int(length)
    guard cursor.fixed(UInt32.self) == 0 else { return nil }
    let version = cursor.fixed(UInt8.self)
    guard version == 1 || version == 3 || version == 4 else { return nil }
    var augmentation: [UInt8] = []
    while augmentation.count < 16 {
      let byte = cursor.fixed(UInt8.self)
      if byte == 0 { break }
      augmentation.append(byte)
    }
    if version == 4 { cursor.skip(2) }  // address and segment sizes
    let codeAlignment = cursor.unsigned()
    let dataAlignment = cursor.signed()
    let returnRegister = version == 1 ? UInt64(cursor.fixed(UInt8.self)) : cursor.unsigned()
    guard !cursor.failed, returnRegister == 16 else { return nil }
    var encoding: UInt8 = 0
    var isSignal = false
    let hasData = augmentation.first == UInt8(ascii: "z")
    if hasData {
      _ = cursor.unsigned()
      for letter in augmentation.dropFirst() {
        switch letter {
        case UInt8(ascii: "R"): encoding = cursor.fixed(UInt8.self)
        case UInt8(ascii: "P"):
          let personality = cursor.fixed(UInt8.self)
          // Only its length matters; the indirect bit says nothing about that.
          _ = cursor.pointer(encoding: personality & 0x7f, base: address)
        case UInt8(ascii: "L"): _ = cursor.fixed(UInt8.self)
        case UInt8(ascii: "S"): isSignal = true
        case UInt8(ascii: "B"): break
        default: return nil
        }
      }
    } else if !augmentation.isEmpty {
      return nil
    }
    var machine = CFAMachine(
      codeAlignment: codeAlignment, dataAlignment: dataAlignment, isSignalFrame: isSignal,
      pointerEncoding: encoding,
      sectionAddress: address)
    guard !cursor.failed, machine.runInitial(EhCursor(bytes, at: cursor.at, end: end)) else { return nil }
    return CommonEntry(machine: machine, pointerEncoding: encoding, hasAugmentationData: hasData)
  }
}

/// Goes through the entries of a section of call frame information: CIEs are read when an FDE refers to them, and kept.
struct CallFrameReader {
  /// The two formats. They differ in how an FDE names its CIE, and in how addresses are written.
  enum Format {
    /// .eh_frame: LSB core, "Exception Frames".
    case ehFrame
    /// .debug_frame: DWARF 5 section 6.4.1.
    case debugFrame
  }

  private struct Entry {
    var content: Int
    var end: Int
    /// Where its CIE stands; nil for a CIE.
    var common: Int?
  }

  private let format: Format
  private let machine: Machine
  private let bytes: UnsafeRawBufferPointer
  private let address: UInt64
  private var at = 0
  private var machines: [Int: CommonEntry?] = [:]
  /// Entries that were damaged or use what drip does not know.
  private(set) var skipped = 0

  private struct CommonEntry {
    var rules: CFAMachine
    var pointerEncoding: UInt8
    var hasAugmentationData: Bool
  }

  /// `address` is that of the section's first byte in memory; of no meaning for .debug_frame.
  init(_ format: Format, bytes: UnsafeRawBufferPointer, address: UInt64, machine: Machine) {
    self.format = format
    self.machine = machine
    self.bytes = bytes
    self.address = address
  }

  /// Runs the next FDE that makes sense. Nil at the end.
  mutating func nextFunction(emit: (UInt64, UnwindRule) -> Void) -> Range<UInt64>? {
    while let entry = entry(at: at) {
      at = entry.end
      guard let commonAt = entry.common else { continue }
      guard let range = function(entry.content, entry.end, commonAt, emit) else {
        skipped += 1
        continue
      }
      if !range.isEmpty { return range }
    }
    return nil
  }

  /// The entry at an offset; nil at the end of the section.
  private func entry(at offset: Int) -> Entry? {
    var cursor = EhCursor(bytes, at: offset, end: bytes.count)
    var length = UInt64(cursor.fixed(UInt32.self))
    let isLong = length == 0xffff_ffff  // 64-bit DWARF, section 7.4
    if isLong { length = cursor.fixed(UInt64.self) }
    // A length of 0 ends the entries of .eh_frame.
    guard !cursor.failed, length >= 4, length <= UInt64(bytes.count - cursor.at) else { return nil }
    let identifierAt = cursor.at
    let end = cursor.at + Int(length)
    switch format {
    case .ehFrame:
      // 4 bytes whatever the length; 0 for a CIE, else how far back the CIE stands.
      let distance = Int(cursor.fixed(UInt32.self))
      return Entry(content: cursor.at, end: end, common: distance == 0 ? nil : identifierAt - distance)
    case .debugFrame:
      let none = isLong ? UInt64.max : 0xffff_ffff
      let common = isLong ? cursor.fixed(UInt64.self) : UInt64(cursor.fixed(UInt32.self))
      guard !cursor.failed else { return nil }
      return Entry(content: cursor.at, end: end, common: common == none ? nil : Int(clamping: common))
    }
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
    guard common.rules.run(cursor, from: start, emit: emit) else {
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
    guard let entry = entry(at: offset), entry.common == nil else { return nil }
    var cursor = EhCursor(bytes, at: entry.content, end: entry.end)
    let version = cursor.fixed(UInt8.self)
    guard version == 1 || version == 3 || version == 4 else { return nil }
    var augmentation: [UInt8] = []
    while augmentation.count < 16 {
      let byte = cursor.fixed(UInt8.self)
      if byte == 0 { break }
      augmentation.append(byte)
    }
    if version == 4 {
      // Sizes of an address and of a segment selector.
      guard cursor.fixed(UInt8.self) == 8, cursor.fixed(UInt8.self) == 0 else { return nil }
    }
    let codeAlignment = cursor.unsigned()
    let dataAlignment = cursor.signed()
    let returnRegister = version == 1 ? UInt64(cursor.fixed(UInt8.self)) : cursor.unsigned()
    guard !cursor.failed, returnRegister == machine.returnAddress else { return nil }
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
        // Keys by which return addresses are signed, and tagged memory (DWARF for the Arm 64-bit Architecture): walks
        // need not know.
        case UInt8(ascii: "B"), UInt8(ascii: "G"): break
        default: return nil
        }
      }
    } else if !augmentation.isEmpty, augmentation != [UInt8(ascii: "B")] {
      return nil
    }
    var rules = CFAMachine(
      machine, codeAlignment: codeAlignment, dataAlignment: dataAlignment, isSignalFrame: isSignal,
      pointerEncoding: encoding, sectionAddress: address)
    guard !cursor.failed, rules.runInitial(EhCursor(bytes, at: cursor.at, end: entry.end)) else { return nil }
    return CommonEntry(rules: rules, pointerEncoding: encoding, hasAugmentationData: hasData)
  }
}

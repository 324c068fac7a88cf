/// The entries of PT_DYNAMIC in order (gABI 4.1, figure 5-9), up to DT_NULL.
struct DynamicTable: Sendable {
  enum Tag {
    static let needed: UInt64 = 1
    static let hash: UInt64 = 4
    static let strings: UInt64 = 5
    static let symbols: UInt64 = 6
    static let relocations: UInt64 = 7
    static let relocationBytes: UInt64 = 8
    static let stringSize: UInt64 = 10
    static let soname: UInt64 = 14
    static let jumpRelocationBytes: UInt64 = 2
    static let jumpRelocations: UInt64 = 23
    static let gnuHash: UInt64 = 0x6fff_fef5
    static let flags1: UInt64 = 0x6fff_fffb
  }

  private(set) var entries: [(tag: UInt64, value: UInt64)] = []

  init(_ bytes: any ByteSource, at range: Range<UInt64>?) {
    guard let range, range.upperBound - range.lowerBound < 1 << 20,
      let table = try? bytes.read(at: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
    else { return }
    for at in stride(from: 0, to: max(table.count - 15, 0), by: 16) {
      guard let tag = table.integer(UInt64.self, at: at), tag != 0,
        let value = table.integer(UInt64.self, at: at + 8)
      else { return }
      entries.append((tag, value))
    }
  }

  subscript(tag: UInt64) -> UInt64? { entries.first { $0.tag == tag }?.value }
}

extension ELFFile {
  /// DT_SONAME: the name that other files need this library by.
  public var soname: String? { dynamic[DynamicTable.Tag.soname].flatMap(dynamicString) }

  /// DT_NEEDED: the libraries that the dynamic linker loads for this file, in order.
  public var needed: [String] {
    dynamic.entries.filter { $0.tag == DynamicTable.Tag.needed }.prefix(4096)
      .compactMap { dynamicString(at: $0.value) }
  }

  /// A position-independent program. Linkers mark it (DF_1_PIE) since about 2018; before, it is told from a
  /// library by having an interpreter and no soname (libc.so.6 has both).
  public var isPIE: Bool {
    guard type == .dynamic else { return false }
    if let flags = dynamic[DynamicTable.Tag.flags1], flags & 0x0800_0000 != 0 { return true }
    return interpreter != nil && soname == nil
  }

  /// A program that no dynamic linker touches: everything it calls is in the file itself.
  public var isStaticProgram: Bool {
    interpreter == nil && (type == .executable || isPIE)
      && !dynamic.entries.contains { $0.tag == DynamicTable.Tag.needed }
  }

  /// A string of the dynamic string table; nil outside of it.
  func dynamicString(at name: UInt64) -> String? {
    guard let strings = dynamic[DynamicTable.Tag.strings].flatMap(fileOffset(ofAddress:)),
      let size = dynamic[DynamicTable.Tag.stringSize], name < size,
      let text = try? bytes.read(
        at: strings &+ name, count: Int(min(size - name, 4096, remaining(strings &+ name))))
    else { return nil }
    return text.string(at: 0, limit: 4096)
  }

  private func remaining(_ offset: UInt64) -> UInt64 { offset < bytes.count ? bytes.count - offset : 0 }
}

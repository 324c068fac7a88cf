extension ELFFile {
  /// The GNU build id in lower-case hex (NT_GNU_BUILD_ID of owner "GNU"), from the notes that the loader maps,
  /// else from the section that holds it; nil if the file has none.
  public var buildID: String? {
    for note in notes {
      if let id = Self.buildID(in: note.range, alignment: note.alignment == 8 ? 8 : 4, bytes) { return id }
    }
    guard let section = section(named: ".note.gnu.build-id") else { return nil }
    let (end, overflow) = section.offset.addingReportingOverflow(section.size)
    guard !overflow else { return nil }
    return Self.buildID(in: section.offset..<end, alignment: 4, bytes)
  }

  /// Walks notes: name size, descriptor size, type, then both padded (gABI 4.1, figure 5-7).
  private static func buildID(in range: Range<UInt64>, alignment: Int, _ bytes: any ByteSource) -> String? {
    guard range.upperBound - range.lowerBound <= 1 << 20,
      let notes = try? bytes.read(at: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
    else { return nil }
    var at = 0
    while let nameSize = notes.integer(UInt32.self, at: at),
      let size = notes.integer(UInt32.self, at: at + 4),
      let type = notes.integer(UInt32.self, at: at + 8)
    {
      let name = at + 12
      let start = padded(name + Int(nameSize), alignment)
      let end = start + Int(size)
      guard end <= notes.count else { return nil }
      if type == 3, nameSize == 4, notes[name..<name + 4].elementsEqual([0x47, 0x4e, 0x55, 0]),
        (2...64).contains(size)
      {
        return notes[start..<end].map(hex).joined()
      }
      at = padded(end, alignment)
    }
    return nil
  }

  private static func padded(_ value: Int, _ alignment: Int) -> Int {
    (value + alignment - 1) & ~(alignment - 1)
  }

  private static func hex(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }
}

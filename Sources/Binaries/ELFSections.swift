extension ELFFile {
  /// A section header (gABI 4.1, figure 4-8). Offset and size are bytes and not checked against the file.
  public struct Section: Sendable, Hashable {
    public var name: String
    public var type: UInt32
    public var address: UInt64
    public var offset: UInt64
    public var size: UInt64
    /// For symbol tables: the index of the string table.
    public var link: UInt32
    /// Its bytes stand in the file compressed (SHF_COMPRESSED), behind a header that says how.
    public var isCompressed = false

    static let symbolTable: UInt32 = 2
    static let noBits: UInt32 = 8
    static let dynamicSymbols: UInt32 = 11
    private static let compressed: UInt64 = 0x800

    private static let headerSize = 64
    private static let longestName = 256

    /// Section headers are for tools, not for the loader, and a file may come without: damage reads as absence.
    static func read(_ bytes: any ByteSource, _ headers: ELFHeaders) -> [Section] {
      guard headers.sectionTable > 0, headers.sectionSize == headerSize, headers.sectionCount > 0,
        let table = try? bytes.read(at: headers.sectionTable, count: headerSize * headers.sectionCount)
      else { return [] }
      var names: [Int] = []
      var sections: [Section] = []
      for at in stride(from: 0, to: table.count, by: headerSize) {
        guard let name = table.integer(UInt32.self, at: at),
          let type = table.integer(UInt32.self, at: at + 4),
          let flags = table.integer(UInt64.self, at: at + 8),
          let address = table.integer(UInt64.self, at: at + 16),
          let start = table.integer(UInt64.self, at: at + 24),
          let size = table.integer(UInt64.self, at: at + 32),
          let link = table.integer(UInt32.self, at: at + 40)
        else { return [] }
        names.append(Int(name))
        sections.append(
          Section(
            name: "", type: type, address: address, offset: start, size: size, link: link,
            isCompressed: flags & compressed != 0))
      }
      var strings: [UInt8] = []
      if headers.sectionNames < sections.count, sections[headers.sectionNames].size < 1 << 24 {
        let section = sections[headers.sectionNames]
        strings = (try? bytes.read(at: section.offset, count: Int(section.size))) ?? []
      }
      for (index, name) in names.enumerated() {
        sections[index].name = strings.string(at: name, limit: longestName)
      }
      return sections
    }
  }

  /// The first section of a name that has bytes in the file.
  public func section(named name: String) -> Section? {
    sections.first { $0.name == name && $0.type != Section.noBits }
  }

  /// Whether the file has its full symbol table, not only what dynamic linking needs.
  public var hasSymbolTable: Bool { sections.contains { $0.type == Section.symbolTable } }
  /// Whether `strip` took the full symbol table away.
  public var isStripped: Bool { !hasSymbolTable }
}

/// A defined function symbol.
public struct ELFSymbol: Sendable, Hashable {
  public var name: String
  public var address: UInt64
  public var size: UInt64
  /// STT_GNU_IFUNC: the symbol names a resolver, not the function.
  public var isIndirect: Bool
}

extension ELFFile {
  private static let largestTable: UInt64 = 256 << 20
  private static let entrySize = 24

  /// Whether the file has its full symbol table, not only what dynamic linking needs.
  public var hasSymbolTable: Bool { sections.contains { $0.type == 2 } }

  /// The function symbols of these names: from the dynamic table, and where there is one from .symtab, which
  /// is all that a static program has.
  public func functions(named names: Set<String>) throws(BinaryError) -> [ELFSymbol] {
    var found: [ELFSymbol] = []
    // SHT_DYNSYM is 11, SHT_SYMTAB is 2.
    for section in sections where section.type == 11 || section.type == 2 {
      guard Int(section.link) < sections.count else { continue }
      let strings = sections[Int(section.link)]
      found += try functions(
        named: names, symbolsAt: section.offset, size: section.size, stringsAt: strings.offset,
        stringSize: strings.size)
    }
    if found.isEmpty, sections.isEmpty { found = try dynamicFunctions(named: names) }
    var seen: Set<ELFSymbol> = []
    return found.filter { seen.insert($0).inserted }
  }

  private func functions(
    named names: Set<String>, symbolsAt offset: UInt64, size: UInt64, stringsAt: UInt64, stringSize: UInt64
  ) throws(BinaryError) -> [ELFSymbol] {
    guard size <= Self.largestTable, stringSize <= Self.largestTable else {
      throw .truncated(what: "a symbol table of \(size) bytes")
    }
    let table = try bytes.read(at: offset, count: Int(size))
    let strings = try bytes.read(at: stringsAt, count: Int(stringSize))
    let wanted = Set(names.map { Array($0.utf8) })
    let longest = wanted.map(\.count).max() ?? 0
    var result: [ELFSymbol] = []
    var at = 0
    while at + Self.entrySize <= table.count {
      defer { at += Self.entrySize }
      let type = table[at + 4] & 15
      guard type == 2 || type == 10, let section = table.integer(UInt16.self, at: at + 6), section != 0,
        let name = table.integer(UInt32.self, at: at), Int(name) < strings.count
      else { continue }
      let text = Array(strings[Int(name)...].prefix(longest + 1).prefix { $0 != 0 })
      guard wanted.contains(text), let address = table.integer(UInt64.self, at: at + 8), address != 0,
        let size = table.integer(UInt64.self, at: at + 16)
      else { continue }
      result.append(
        ELFSymbol(name: String(decoding: text, as: UTF8.self), address: address, size: size, isIndirect: type == 10))
    }
    return result
  }

  /// Without section headers: through PT_DYNAMIC. The string table stands behind the symbols in every file that
  /// a linker makes, which bounds their number.
  private func dynamicFunctions(named names: Set<String>) throws(BinaryError) -> [ELFSymbol] {
    guard let symbols = dynamicValue(6).flatMap(fileOffset), let strings = dynamicValue(5).flatMap(fileOffset),
      let stringSize = dynamicValue(10), strings > symbols
    else { return [] }
    return try functions(
      named: names, symbolsAt: symbols, size: strings - symbols, stringsAt: strings, stringSize: stringSize)
  }

  /// The value of a dynamic tag (gABI 4.1, figure 5-9).
  private func dynamicValue(_ tag: UInt64) -> UInt64? {
    guard let range = dynamicRange, range.count < 1 << 20,
      let table = try? bytes.read(at: range.lowerBound, count: range.count)
    else { return nil }
    for at in stride(from: 0, to: table.count - 15, by: 16) {
      guard let found = table.integer(UInt64.self, at: at) else { return nil }
      if found == 0 { return nil }
      if found == tag { return table.integer(UInt64.self, at: at + 8) }
    }
    return nil
  }

  /// DT_SONAME.
  public var sharedObjectName: String? {
    guard let name = dynamicValue(14), let strings = dynamicValue(5).flatMap(fileOffset),
      let size = dynamicValue(10), name < size, size - name < 1 << 20
    else { return nil }
    guard let text = try? bytes.read(at: strings &+ name, count: Int(min(size - name, 4096))) else { return nil }
    return Self.text(text, at: 0)
  }
}

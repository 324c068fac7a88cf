/// A defined function symbol.
public struct ELFSymbol: Sendable, Hashable {
  /// The plain name, without a version.
  public var name: String
  /// Virtual address in the file.
  public var address: UInt64
  /// Bytes of code; 0 where the assembler was not told.
  public var size: UInt64
  /// STT_GNU_IFUNC: the symbol names a resolver, not the function.
  public var isIndirect: Bool
  /// STB_LOCAL: private to one source file, or hidden by the linker. Nobody outside of the file calls it.
  public var isLocal: Bool
  /// In the dynamic table, where other files find it.
  public var isExported: Bool

  public init(
    name: String, address: UInt64, size: UInt64, isIndirect: Bool = false, isLocal: Bool = false,
    isExported: Bool = false
  ) {
    self.name = name
    self.address = address
    self.size = size
    self.isIndirect = isIndirect
    self.isLocal = isLocal
    self.isExported = isExported
  }
}

/// Where a symbol table and its strings lie in the file, in bytes.
struct SymbolTableRange {
  var symbols: UInt64
  var symbolBytes: UInt64
  var strings: UInt64
  var stringBytes: UInt64
}

extension ELFFile {
  /// The function symbols of these names: from the dynamic table, which the loader goes by, and for names not
  /// in it from .symtab, which is all that a static program has, and from MiniDebugInfo, which some distributions
  /// leave in its place. Of several symbols of one name the first global one wins, else the last local one:
  /// linkers put what they have hidden behind what was local before. Throws `truncated` for tables outside of the
  /// file or over 256 MiB, and what reading throws. `isData`: the symbols of variables instead.
  public func symbols(
    named names: Set<String>, isData: Bool = false
  ) throws(BinaryError) -> [String: ELFSymbol] {
    let search = SymbolSearch(names: names, isData: isData)
    var found: [String: ELFSymbol] = [:]
    let exported = dynamicSymbolTable() ?? table(ofType: Section.dynamicSymbols)
    if let exported {
      found = try search.run(exported, bytes)
      for name in found.keys where found[name]?.isLocal == false { found[name]?.isExported = true }
    }
    let others: [ELFFile]
    if hasSymbolTable {
      others = [self]
    } else {
      others = [MiniDebugInfo.read(from: self)].compactMap(\.self)
    }
    for file in others {
      guard let table = file.table(ofType: Section.symbolTable) else { continue }
      for (name, symbol) in try search.run(table, file.bytes) {
        if let known = found[name], !known.isLocal || symbol.isLocal { continue }
        found[name] = symbol
      }
    }
    return found
  }

  private func table(ofType type: UInt32) -> SymbolTableRange? {
    guard let section = sections.first(where: { $0.type == type }), Int(section.link) < sections.count else {
      return nil
    }
    let strings = sections[Int(section.link)]
    return SymbolTableRange(
      symbols: section.offset, symbolBytes: section.size, strings: strings.offset, stringBytes: strings.size)
  }

  /// The dynamic symbols as the loader finds them. PT_DYNAMIC does not say how many there are; the hash tables
  /// do.
  private func dynamicSymbolTable() -> SymbolTableRange? {
    guard let symbols = dynamic[DynamicTable.Tag.symbols].flatMap(fileOffset(ofAddress:)),
      let strings = dynamic[DynamicTable.Tag.strings].flatMap(fileOffset(ofAddress:)),
      let stringBytes = dynamic[DynamicTable.Tag.stringSize], let count = dynamicSymbolCount(), count > 0
    else { return nil }
    return SymbolTableRange(
      symbols: symbols, symbolBytes: count * UInt64(SymbolSearch.entrySize), strings: strings,
      stringBytes: stringBytes)
  }

  private func dynamicSymbolCount() -> UInt64? {
    // gABI 4.1, figure 5-12: nbucket, nchain; there are as many chain entries as symbols.
    if let hash = dynamic[DynamicTable.Tag.hash].flatMap(fileOffset(ofAddress:)),
      let head = try? bytes.read(at: hash, count: 8), let count = head.integer(UInt32.self, at: 4)
    {
      return UInt64(count)
    }
    return dynamic[DynamicTable.Tag.gnuHash].flatMap(fileOffset(ofAddress:)).flatMap(gnuHashCount)
  }

  /// DT_GNU_HASH: bucket count, first hashed symbol, words of the Bloom filter, shift; the filter; the buckets;
  /// one word for each hashed symbol, the lowest bit of which ends a chain. The last symbol is at the end of
  /// the chain of the highest bucket.
  private func gnuHashCount(at offset: UInt64) -> UInt64? {
    guard let head = try? bytes.read(at: offset, count: 16), let buckets = head.integer(UInt32.self, at: 0),
      let first = head.integer(UInt32.self, at: 4), let filter = head.integer(UInt32.self, at: 8),
      buckets < 1 << 24
    else { return nil }
    let bucketsAt = offset + 16 + UInt64(filter) * 8
    guard let words = try? bytes.read(at: bucketsAt, count: Int(buckets) * 4) else { return nil }
    var last: UInt32 = 0
    for at in stride(from: 0, to: words.count, by: 4) {
      last = max(last, words.integer(UInt32.self, at: at) ?? 0)
    }
    // Nothing is hashed, so nothing is defined.
    guard last >= first, last > 0 else { return UInt64(first) }
    var index = UInt64(last)
    let chains = bucketsAt + UInt64(buckets) * 4
    while index < UInt64(UInt32.max) {
      // 1,024 links at a time, fewer at the end of the file.
      let at = chains + (index - UInt64(first)) * 4
      guard at < bytes.count,
        let part = try? bytes.read(at: at, count: Int(min(4096, bytes.count - at)) & ~3),
        !part.isEmpty
      else { return nil }
      for link in stride(from: 0, to: part.count, by: 4) {
        index += 1
        if part[link] & 1 != 0 { return index }
      }
    }
    return nil
  }
}

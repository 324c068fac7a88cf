import Glibc

/// Finds a few names in a symbol table of any size, in memory that does not grow with it. First the strings are
/// searched for the names, which gives the offsets that they have; then the symbols for those offsets.
struct SymbolSearch {
  static let entrySize = 24
  private static let largestTable: UInt64 = 256 << 20
  private static let chunk = 1 << 20

  private let names: [[UInt8]]
  private let longest: Int
  private let shortest: Int
  /// The names by their last byte, so that most strings are compared with few.
  private let byLastByte: [[Int]]

  /// Variables are looked for, not functions.
  private let isData: Bool

  init(names: Set<String>, isData: Bool = false) {
    self.isData = isData
    self.names = names.filter { !$0.isEmpty }.map { Array($0.utf8) }
    longest = self.names.map(\.count).max() ?? 0
    shortest = self.names.map(\.count).min() ?? .max
    var byLastByte = [[Int]](repeating: [], count: 256)
    for (index, name) in self.names.enumerated() { byLastByte[Int(name[name.count - 1])].append(index) }
    self.byLastByte = byLastByte
  }

  func run(_ table: SymbolTableRange, _ bytes: any ByteSource) throws(BinaryError) -> [String: ELFSymbol] {
    guard table.symbolBytes <= Self.largestTable, table.stringBytes <= Self.largestTable,
      !table.symbols.addingReportingOverflow(table.symbolBytes).overflow,
      !table.strings.addingReportingOverflow(table.stringBytes).overflow
    else { throw .truncated(what: "a symbol table of \(table.symbolBytes) bytes") }
    let offsets = try nameOffsets(table, bytes)
    return offsets.isEmpty ? [:] : try symbols(at: offsets, table, bytes)
  }

  /// Where the names stand. Linkers let one string be the end of another ("malloc" in "xmalloc"), so what
  /// stands before a name does not matter, only that a zero ends it.
  private func nameOffsets(_ table: SymbolTableRange, _ bytes: any ByteSource) throws(BinaryError) -> [UInt32:
    Int]
  {
    var offsets: [UInt32: Int] = [:]
    var at: UInt64 = 0
    while at < table.stringBytes {
      // Each chunk begins with the end of the one before, where a name may be cut in two.
      let start = at > UInt64(longest) ? at - UInt64(longest) : 0
      let end = min(at + UInt64(Self.chunk), table.stringBytes)
      let part = try bytes.read(at: table.strings + start, count: Int(end - start))
      part.withUnsafeBytes { part in
        var from = Int(at - start)
        var begin = 0
        while from < part.count, let base = part.baseAddress,
          let zero = memchr(base + from, 0, part.count - from)
        {
          let stop = base.distance(to: UnsafeRawPointer(zero))
          // The length first: a hostile table may be all zeroes.
          if stop - begin >= shortest {
            for index in byLastByte[Int(part[stop - 1])] where stop - begin >= names[index].count {
              let name = names[index]
              if memcmp(base + stop - name.count, name, name.count) == 0 {
                offsets[UInt32(truncatingIfNeeded: start + UInt64(stop - name.count))] = index
              }
            }
          }
          begin = stop + 1
          from = stop + 1
        }
      }
      at = end
    }
    return offsets
  }

  /// Elf64_Sym: name, info, other, section index, value, size (gABI 4.1, figure 4-15).
  private func symbols(
    at offsets: [UInt32: Int], _ table: SymbolTableRange, _ bytes: any ByteSource
  ) throws(BinaryError) -> [String: ELFSymbol] {
    let size = Self.entrySize
    let total = table.symbolBytes - table.symbolBytes % UInt64(size)
    let chunk = UInt64(Self.chunk / size * size)
    var found: [String: ELFSymbol] = [:]
    var at: UInt64 = 0
    while at < total {
      let part = try bytes.read(at: table.symbols + at, count: Int(min(chunk, total - at)))
      at += UInt64(part.count)
      part.withUnsafeBytes { part in
        for entry in stride(from: 0, to: part.count, by: size) {
          let name = UInt32(littleEndian: part.loadUnaligned(fromByteOffset: entry, as: UInt32.self))
          guard let index = offsets[name] else { continue }
          let type = part[entry + 4] & 15
          let section = UInt16(littleEndian: part.loadUnaligned(fromByteOffset: entry + 6, as: UInt16.self))
          let address = UInt64(littleEndian: part.loadUnaligned(fromByteOffset: entry + 8, as: UInt64.self))
          // STT_OBJECT, or STT_FUNC or STT_GNU_IFUNC, and not SHN_UNDEF: a non-PIE program gives an address to what
          // it imports.
          guard isData ? type == 1 : type == 2 || type == 10, section != 0, address != 0 else { continue }
          let text = String(decoding: names[index], as: UTF8.self)
          // STB_LOCAL is 0.
          let isLocal = part[entry + 4] >> 4 == 0
          if let known = found[text], !known.isLocal { continue }
          found[text] = ELFSymbol(
            name: text, address: address,
            size: UInt64(littleEndian: part.loadUnaligned(fromByteOffset: entry + 16, as: UInt64.self)),
            isIndirect: type == 10, isLocal: isLocal)
        }
      }
    }
    return found
  }
}

import Testing

@testable import Binaries

@Suite("symbol search")
struct SymbolSearchTests {
  /// One global function symbol per string offset, addresses 1, 2, 3 …; then the strings.
  private func table(names offsets: [Int], strings: [UInt8]) -> (SymbolTableRange, MemoryBytes) {
    var bytes: [UInt8] = []
    for (index, offset) in offsets.enumerated() {
      bytes += withUnsafeBytes(of: UInt32(offset).littleEndian) { Array($0) } + [0x12, 0, 1, 0]
      bytes += [UInt8(index + 1)] + [UInt8](repeating: 0, count: 15)
    }
    let range = SymbolTableRange(
      symbols: 0, symbolBytes: UInt64(bytes.count), strings: UInt64(bytes.count),
      stringBytes: UInt64(strings.count))
    return (range, MemoryBytes(bytes + strings))
  }

  @Test("a name wherever the chunks of the string table are cut")
  func chunkBorder() throws {
    let border = 1 << 20
    for start in [0, border - 7, border - 6, border - 3, border - 1, border, border + 1] {
      var strings = [UInt8](repeating: 0x78, count: start) + Array("malloc\0".utf8)
      strings += [UInt8](repeating: 0x78, count: 100) + [0]
      let (range, bytes) = table(names: [start], strings: strings)
      #expect(
        try SymbolSearch(names: ["malloc", "free"]).run(range, bytes).keys.sorted() == ["malloc"], "\(start)")
    }
  }

  @Test("one string may be the end of another, not its beginning")
  func suffix() throws {
    let strings = Array("\0xmalloc\0malloc_trim\0".utf8)
    let (range, bytes) = table(names: [1, 2, 9], strings: strings)
    let found = try SymbolSearch(names: ["malloc"]).run(range, bytes)
    #expect(found["malloc"]?.address == 2)
    #expect(found.count == 1)
  }

  @Test("of several the first global one, else the last local one; nothing undefined or without an address")
  func several() throws {
    func found(_ symbols: [(info: UInt8, section: UInt8)]) throws -> UInt64? {
      var (range, bytes) = table(names: symbols.map { _ in 0 }, strings: Array("malloc\0".utf8))
      var raw = try bytes.read(at: 0, count: Int(bytes.count))
      for (index, symbol) in symbols.enumerated() {
        raw[index * 24 + 4] = symbol.info
        raw[index * 24 + 6] = symbol.section
      }
      bytes = MemoryBytes(raw)
      range.strings = range.symbolBytes
      return try SymbolSearch(names: ["malloc"]).run(range, bytes)["malloc"]?.address
    }
    let (global, weak, local, data): (UInt8, UInt8, UInt8, UInt8) = (0x12, 0x22, 0x02, 0x11)
    #expect(try found([(global, 1), (weak, 1), (local, 1)]) == 1)
    #expect(try found([(local, 1), (weak, 1), (global, 1)]) == 2)
    #expect(try found([(local, 1), (local, 1)]) == 2)
    #expect(try found([(global, 0), (data, 1), (global, 1)]) == 3)
    #expect(try found([(global, 0)]) == nil)
  }

  @Test("tables that lie about their size")
  func sizes() throws {
    let (range, bytes) = table(names: [0], strings: Array("malloc\0".utf8))
    let lies: [(inout SymbolTableRange) -> Void] = [
      { $0.stringBytes = 1 << 20 }, { $0.symbolBytes = 1 << 20 }, { $0.stringBytes = .max },
      { $0.symbolBytes = .max }, { $0.strings = .max }, { $0.symbols = .max - 3 },
    ]
    for lie in lies {
      var range = range
      lie(&range)
      #expect(throws: BinaryError.self) { try SymbolSearch(names: ["malloc"]).run(range, bytes) }
    }
    #expect(try SymbolSearch(names: []).run(range, bytes).isEmpty)
    #expect(try SymbolSearch(names: ["malloc"]).run(range, bytes).count == 1)
  }

  @Test("a table of zeroes is not compared with every name", .timeLimit(.minutes(1)))
  func zeroes() throws {
    struct Zeroes: ByteSource {
      var count: UInt64 { 1 << 40 }
      func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
        [UInt8](repeating: 0, count: count)
      }
    }
    let range = SymbolTableRange(symbols: 0, symbolBytes: 240, strings: 0, stringBytes: 2 << 20)
    #expect(try SymbolSearch(names: AllocatorNames.all).run(range, Zeroes()).isEmpty)
  }
}

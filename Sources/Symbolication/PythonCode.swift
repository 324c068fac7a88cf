/// What a code object of CPython 3.11 says about its function, read from the memory of a running process. Everything
/// there is taken to be hostile or gone: what does not look right is nil, and text is made safe.
///
/// Layouts: Include/cpython/code.h, Include/cpython/unicodeobject.h and Include/cpython/bytesobject.h of 3.11 on
/// 64-bit machines; the line table: Objects/locations.md of 3.11.
public struct PythonCode: Sendable, Hashable {
  /// The qualified name: "Class.method", "outer.<locals>.inner".
  public var name: String
  public var file: String
  public var firstLine: Int
  var lineTable: [UInt8]

  /// Bytes of a process at an address, or nil.
  public typealias Memory = (_ address: UInt64, _ count: Int) -> [UInt8]?

  private enum Layout {
    static let type = 8
    static let firstLine = 72
    static let file = 112
    static let name = 128
    static let lineTable = 136
    static let codeBytes = 144
    static let lengthAt = 16
    static let stateAt = 32
    static let asciiText = 48
    static let otherText = 72
    static let bytesText = 32
  }

  private static let maximumText: UInt64 = 4096
  private static let maximumTable: UInt64 = 1 << 20

  /// The first bytes of the object at `address`, which tell it from another one that may come in its place.
  public static func header(at address: UInt64, _ memory: Memory) -> [UInt8]? {
    memory(address, Layout.codeBytes)
  }

  /// Nil unless the header is that of a code object: its type lies at `type`.
  public init?(header: [UInt8], type: UInt64, _ memory: Memory) {
    guard header.count == Layout.codeBytes, Self.word(header, Layout.type) == type,
      let name = Self.text(at: Self.word(header, Layout.name), memory),
      let file = Self.text(at: Self.word(header, Layout.file), memory)
    else { return nil }
    self.name = SafeText.clean(name)
    self.file = SafeText.clean(file)
    firstLine = Int(Int32(truncatingIfNeeded: Self.word(header, Layout.firstLine)))
    lineTable = Self.lineTable(at: Self.word(header, Layout.lineTable), memory) ?? []
  }

  init(name: String, file: String, firstLine: Int, lineTable: [UInt8]) {
    self.name = name
    self.file = file
    self.firstLine = firstLine
    self.lineTable = lineTable
  }

  /// The source line of a code unit (two bytes of code); nil where the compiler gave none.
  public func line(ofUnit unit: Int) -> Int? {
    var line = firstLine
    var end = 0
    var at = 0
    while at < lineTable.count {
      let first = lineTable[at]
      // Each entry begins with a byte that has its top bit set, and no other byte has.
      guard first & 0x80 != 0 else { return nil }
      let kind = first >> 3 & 15
      at += 1
      // Kinds 10 to 12 tell a small step, 13 and 14 a signed number, 15 that there is no line; the rest stays.
      switch kind {
      case 10...12: line += Int(kind) - 10
      case 13, 14: line &+= Self.signed(lineTable, at)
      default: break
      }
      while at < lineTable.count, lineTable[at] & 0x80 == 0 { at += 1 }
      end += Int(first & 7) + 1
      if unit < end { return kind == 15 || line <= 0 ? nil : line }
    }
    return nil
  }

  /// A variable-length number, six bits a byte, the lowest first; bit 6 says that more follow. Bit 0 is the sign.
  private static func signed(_ bytes: [UInt8], _ start: Int) -> Int {
    var value = 0
    var shift = 0
    for byte in bytes[start...] {
      value |= Int(byte & 63) << shift
      shift += 6
      if byte & 64 == 0 || shift > 30 { break }
    }
    return value & 1 != 0 ? -(value >> 1) : value >> 1
  }

  private static func word(_ bytes: [UInt8], _ at: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
  }

  /// A str object in its compact form, which all that the compiler makes are.
  private static func text(at address: UInt64, _ memory: Memory) -> String? {
    guard address != 0, let header = memory(address, Layout.asciiText) else { return nil }
    let length = word(header, Layout.lengthAt)
    let state = header[Layout.stateAt]
    let isCompact = state >> 5 & 1 == 1
    let isASCII = state >> 6 & 1 == 1
    let width = UInt64(state >> 2 & 7)
    guard isCompact, width == 1 || width == 2 || width == 4, length <= maximumText,
      let bytes = memory(
        address &+ UInt64(isASCII ? Layout.asciiText : Layout.otherText), Int(length * width))
    else { return nil }
    var text = String.UnicodeScalarView()
    for index in 0..<Int(length) {
      let value = (0..<Int(width)).reduce(UInt32(0)) {
        $0 | UInt32(bytes[index * Int(width) + $1]) << UInt32(8 * $1)
      }
      text.append(Unicode.Scalar(value) ?? "?")
    }
    return String(text)
  }

  private static func lineTable(at address: UInt64, _ memory: Memory) -> [UInt8]? {
    guard address != 0, let header = memory(address, Layout.bytesText) else { return nil }
    let length = word(header, Layout.lengthAt)
    guard length <= maximumTable else { return nil }
    return memory(address &+ UInt64(Layout.bytesText), Int(length))
  }
}

/// Rust's first mangling: `_ZN`, length-prefixed path elements, and as the last one `17h` with a hash,
/// `E`. Looks like C++ but escapes characters in its own way.
enum RustLegacyDemangler {
  /// The path without its hash; nil if this is no Rust name.
  static func demangle(_ name: String) -> String? {
    let bytes = Array(name.utf8)
    guard bytes.starts(with: "_ZN".utf8) else { return nil }
    var position = 3
    var elements: [ArraySlice<UInt8>] = []
    while position < bytes.count, bytes[position] != UInt8(ascii: "E") {
      var length = 0
      let digits = position
      while position < bytes.count, let digit = decimal(bytes[position]), length < bytes.count {
        length = length * 10 + digit
        position += 1
      }
      guard position > digits, length > 0, length <= bytes.count - position else { return nil }
      elements.append(bytes[position..<position + length])
      position += length
    }
    guard position == bytes.count - 1, elements.count > 1, let hash = elements.popLast(), isHash(hash) else {
      return nil
    }
    return elements.map(unescaped).joined(separator: "::")
  }

  private static func decimal(_ byte: UInt8) -> Int? {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) ? Int(byte - UInt8(ascii: "0")) : nil
  }

  /// `h` and 16 hex digits. A C++ member may be named so, but hardly with this spread of digits.
  private static func isHash(_ element: ArraySlice<UInt8>) -> Bool {
    guard element.count == 17, element.first == UInt8(ascii: "h") else { return false }
    let digits = element.dropFirst()
    return digits.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit } && Set(digits).count >= 5
  }

  private static func unescaped(_ element: ArraySlice<UInt8>) -> String {
    var rest = element
    // An element that begins with an escape carries a "_" before it.
    if rest.starts(with: "_$".utf8) { rest = rest.dropFirst() }
    var result: [UInt8] = []
    while let byte = rest.first {
      if rest.starts(with: "..".utf8) {
        result += "::".utf8
        rest = rest.dropFirst(2)
      } else if byte == UInt8(ascii: "$"), let end = rest.dropFirst().firstIndex(of: byte),
        let text = escape(String(decoding: rest[(rest.startIndex + 1)..<end], as: UTF8.self))
      {
        result += text.utf8
        rest = rest[(end + 1)...]
      } else {
        result.append(byte)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func escape(_ code: String) -> String? {
    switch code {
    case "SP": return "@"
    case "BP": return "*"
    case "RF": return "&"
    case "LT": return "<"
    case "GT": return ">"
    case "LP": return "("
    case "RP": return ")"
    case "C": return ","
    default:
      guard code.hasPrefix("u"), let value = UInt32(code.dropFirst(), radix: 16),
        let scalar = Unicode.Scalar(value)
      else { return nil }
      return String(Character(scalar))
    }
  }
}

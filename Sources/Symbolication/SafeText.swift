/// Text that came out of a target's files and memory, made safe to print.
enum SafeText {
  /// More than any real path or readable function name; the cut is marked.
  static let limit = 4096

  /// The text with every character replaced by "?" that could steer a terminal or reorder a line, and
  /// cut to a sane length. Symbol names and paths are chosen by the target.
  static func clean(_ text: String, limit: Int = limit) -> String {
    if text.utf8.count <= limit, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return text }
    var result = String.UnicodeScalarView()
    var length = 0
    for scalar in text.unicodeScalars {
      length += UTF8.width(scalar)
      if length > limit {
        result.append("…")
        break
      }
      result.append(isHarmful(scalar) ? "?" : scalar)
    }
    return String(result)
  }

  private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0: true  // C0, DEL and C1 controls
    case 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x2069, 0xfeff: true  // invisible, line breaks, bidi
    default: false
    }
  }

  /// A C string of untrusted length, read up to `maximum` bytes; nil for a null pointer or a longer one.
  static func string(_ pointer: UnsafePointer<CChar>?, maximum: Int) -> String? {
    guard let pointer else { return nil }
    var count = 0
    while pointer[count] != 0 {
      count += 1
      if count > maximum { return nil }
    }
    return pointer.withMemoryRebound(to: UInt8.self, capacity: count) {
      String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
    }
  }
}

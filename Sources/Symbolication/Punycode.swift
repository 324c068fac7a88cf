/// RFC 3492 with Rust's "_" as the delimiter.
enum Punycode {
  static func decode(_ text: ArraySlice<UInt8>) -> String? {
    let delimiter = text.lastIndex(of: UInt8(ascii: "_"))
    let literal = delimiter.map { text[..<$0] } ?? []
    let encoded = delimiter.map { text[($0 + 1)...] } ?? text
    guard !encoded.isEmpty, text.count <= 1024 else { return nil }
    var scalars = literal.map { Unicode.Scalar($0) }

    var point: UInt64 = 0x80
    var index: UInt64 = 0
    var bias: UInt64 = 72
    var position = encoded.startIndex
    while position < encoded.endIndex {
      let before = index
      var weight: UInt64 = 1
      var step: UInt64 = 36
      while true {
        guard position < encoded.endIndex, let digit = digit(encoded[position]) else { return nil }
        position += 1
        index += digit * weight
        guard index <= 1 << 32 else { return nil }
        let threshold = step <= bias ? 1 : min(step - bias, 26)
        if digit < threshold { break }
        weight *= 36 - threshold
        guard weight <= 1 << 32 else { return nil }
        step += 36
      }
      let count = UInt64(scalars.count) + 1
      bias = adapted(delta: index - before, count: count, first: before == 0)
      point += index / count
      index %= count
      guard let value = UInt32(exactly: point), let scalar = Unicode.Scalar(value) else { return nil }
      scalars.insert(scalar, at: Int(index))
      index += 1
    }
    return String(String.UnicodeScalarView(scalars))
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt64(byte - UInt8(ascii: "a"))
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0")) + 26
    default: nil
    }
  }

  private static func adapted(delta: UInt64, count: UInt64, first: Bool) -> UInt64 {
    var delta = first ? delta / 700 : delta / 2
    delta += delta / count
    var result: UInt64 = 0
    while delta > 455 {
      delta /= 35
      result += 36
    }
    return result + 36 * delta / (delta + 38)
  }
}

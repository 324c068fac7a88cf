/// Reads little-endian and LEB128 numbers (DWARF 5 section 7.6) within bounds. After a read beyond the end it is
/// `failed` and gives zeros.
struct EhCursor {
  let bytes: UnsafeRawBufferPointer
  var at: Int
  let end: Int
  private(set) var failed = false

  init(_ bytes: UnsafeRawBufferPointer, at: Int, end: Int) {
    self.bytes = bytes
    self.at = at
    self.end = min(end, bytes.count)
    if at < 0 || at > self.end { failed = true }
  }

  var isAtEnd: Bool { failed || at >= end }

  mutating func fixed<T: FixedWidthInteger>(_ type: T.Type) -> T {
    guard !failed, at <= end - MemoryLayout<T>.size else {
      failed = true
      return 0
    }
    defer { at += MemoryLayout<T>.size }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self))
  }

  mutating func unsigned() -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = fixed(UInt8.self)
      if failed { return 0 }
      if shift < 64 { result |= UInt64(byte & 0x7f) << shift }
      if byte & 0x80 == 0 { return result }
      shift += 7
    }
  }

  mutating func signed() -> Int64 {
    var result: Int64 = 0
    var shift: Int64 = 0
    while true {
      let byte = fixed(UInt8.self)
      if failed { return 0 }
      if shift < 64 { result |= Int64(byte & 0x7f) << shift }
      shift += 7
      if byte & 0x80 == 0 {
        if shift < 64, byte & 0x40 != 0 { result |= -1 << shift }
        return result
      }
    }
  }

  mutating func skip(_ count: UInt64) {
    guard !failed, count <= UInt64(end - at) else {
      failed = true
      return
    }
    at += Int(count)
  }

  /// A pointer in one of the encodings of the LSB core, "DWARF Exception Header Encoding". `base` is the address
  /// of the section's first byte. Nil for what cannot be known from the section alone.
  mutating func pointer(encoding: UInt8, base: UInt64) -> UInt64? {
    guard encoding != 0xff else { return nil }
    let here = base &+ UInt64(at)
    var value: UInt64
    switch encoding & 0x0f {
    case 0x00, 0x04, 0x0c: value = fixed(UInt64.self)
    case 0x01: value = unsigned()
    case 0x02: value = UInt64(fixed(UInt16.self))
    case 0x03: value = UInt64(fixed(UInt32.self))
    case 0x09: value = UInt64(bitPattern: signed())
    case 0x0a: value = UInt64(bitPattern: Int64(fixed(Int16.self)))
    case 0x0b: value = UInt64(bitPattern: Int64(fixed(Int32.self)))
    default: return nil
    }
    switch encoding & 0x70 {
    case 0x00: break
    case 0x10: value = value &+ here
    default: return nil
    }
    return failed || encoding & 0x80 != 0 ? nil : value
  }
}

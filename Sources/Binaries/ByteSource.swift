/// Random access to bytes that may change or shrink at any time: files of a hostile target.
public protocol ByteSource: Sendable {
  /// Bytes there are.
  var count: UInt64 { get }
  /// Exactly `count` bytes from `offset`; fewer is an error.
  func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8]
}

extension ByteSource {
  /// Refuses ranges that do not lie inside.
  func check(at offset: UInt64, count wanted: Int) throws(BinaryError) {
    guard wanted >= 0, offset <= count, UInt64(wanted) <= count - offset else {
      throw .truncated(what: "a range of \(wanted) bytes at \(offset)")
    }
  }
}

/// Bytes in memory, for tests and for images that are not files (the vDSO).
public struct MemoryBytes: ByteSource {
  private let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public var count: UInt64 { UInt64(bytes.count) }

  public func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    try check(at: offset, count: count)
    return Array(bytes[Int(offset)..<Int(offset) + count])
  }
}

/// Little-endian integers out of bytes; out of range reads as nil.
extension [UInt8] {
  func integer<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T? {
    guard offset >= 0, offset <= count - MemoryLayout<T>.size else { return nil }
    return withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  /// The zero-terminated string at an offset, at most `limit` bytes of it: a hostile table has no zeroes.
  func string(at offset: Int, limit: Int) -> String {
    guard offset >= 0, offset < count else { return "" }
    return String(decoding: self[offset...].prefix(limit).prefix { $0 != 0 }, as: UTF8.self)
  }
}

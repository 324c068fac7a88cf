import Glibc

/// Random access to bytes that may change or shrink at any time: files of a hostile target.
public protocol ByteSource: Sendable {
  /// Bytes there are.
  var count: UInt64 { get }
  /// Exactly `count` bytes from `offset`; fewer is an error.
  func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8]
}

/// A regular file, read by pread. Not mapped: the owner of a mapped file can kill its reader by truncating it.
public final class FileBytes: ByteSource {
  private let descriptor: CInt
  private let path: String
  public let count: UInt64

  public init(path: String) throws(BinaryError) {
    // O_NONBLOCK: a FIFO in the place of a file must not hold drip up.
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard descriptor >= 0 else { throw .unreadable(path: path, code: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw .notRegularFile(path: path)
    }
    self.path = path
    count = UInt64(max(status.st_size, 0))
  }

  deinit { close(descriptor) }

  public func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    guard count >= 0, offset <= self.count, UInt64(count) <= self.count - offset else {
      throw .truncated(what: "a range of \(count) bytes at \(offset)")
    }
    var done = 0
    var code: CInt = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while done < count, let base = buffer.baseAddress {
        let got = pread(descriptor, base + done, count - done, off_t(offset) + off_t(done))
        if got < 0, errno == EINTR { continue }
        if got <= 0 {
          code = got < 0 ? errno : 0
          break
        }
        done += got
      }
      initialized = done
    }
    guard done == count else {
      throw code == 0 ? .truncated(what: "the end") : .unreadable(path: path, code: code)
    }
    return bytes
  }
}

/// Bytes in memory, for tests.
public struct MemoryBytes: ByteSource {
  private let bytes: [UInt8]
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public var count: UInt64 { UInt64(bytes.count) }

  public func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    guard count >= 0, offset <= self.count, UInt64(count) <= self.count - offset else {
      throw .truncated(what: "a range of \(count) bytes at \(offset)")
    }
    return Array(bytes[Int(offset)..<Int(offset) + count])
  }
}

/// Little-endian integers out of bytes; out of range reads as nil.
extension [UInt8] {
  func integer<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T? {
    guard offset >= 0, offset <= count - MemoryLayout<T>.size else { return nil }
    return withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }
}

import Glibc

/// An errno as an error.
struct Errno: Error, Hashable { let code: Int32 }

/// Bounded reads of files under /proc. What a process says there is not to be trusted, not even its size.
enum ProcFile {
  /// The whole file, at most `limit` bytes.
  static func read(_ path: String, limit: Int = 64 << 20) throws(Errno) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(code: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < limit {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno(code: errno)
      }
      if count == 0 { break }
      bytes.append(contentsOf: chunk[..<count])
    }
    return bytes
  }

  static func text(_ path: String) throws(Errno) -> String { String(decoding: try read(path), as: UTF8.self) }

  /// The target of a symbolic link.
  static func link(_ path: String) throws(Errno) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    guard count >= 0 else { throw Errno(code: errno) }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// A name that a process chose, made safe to print: control characters, which could drive a terminal, become
/// question marks.
public func displayable(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    let isControl = scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value)
    result.append(isControl ? "?" : scalar)
  }
  return String(result)
}

import Glibc

/// An errno as an error.
struct Errno: Error, Hashable { let code: Int32 }

/// Bounded reads of files under /proc and /sys. What a process says there is not to be trusted, not even its size.
enum ProcFile {
  /// The whole file, or its first `limit` bytes.
  static func read(_ path: String, limit: Int = 64 << 20) throws(Errno) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(code: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count < limit {
      let count = Glibc.read(descriptor, &chunk, min(chunk.count, limit - bytes.count))
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno(code: errno)
      }
      if count == 0 { break }
      bytes.append(contentsOf: chunk[..<count])
    }
    return bytes
  }

  /// A small file as text.
  static func text(_ path: String) throws(Errno) -> String {
    String(decoding: try read(path, limit: 1 << 20), as: UTF8.self)
  }

  /// A file that holds one decimal number, nil if it is not there, not readable or something else.
  static func number(_ path: String) -> Int? {
    guard let text = try? text(path) else { return nil }
    return Int(text.prefix { $0 != "\n" })
  }

  /// The value of a line "name:\tvalue", as /proc/PID/status has them. Searched as bytes: a name that a process
  /// gave itself could join with the line's end into one Character.
  static func field(_ name: String, in bytes: [UInt8]) -> String? {
    let prefix = Array((name + ":").utf8)
    for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: prefix) {
      let value = line.dropFirst(prefix.count).drop { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") }
      return String(decoding: value, as: UTF8.self)
    }
    return nil
  }

  /// The names of a folder that are numbers.
  static func numbers(in folder: String) -> [Int32] { names(in: folder).compactMap { Int32($0) } }

  /// The names in a folder; none if it cannot be read.
  static func names(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var result: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { result.append(name) }
    }
    return result
  }

  /// The target of a symbolic link.
  static func link(_ path: String) throws(Errno) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let count = readlink(path, &buffer, buffer.count)
    guard count >= 0 else { throw Errno(code: errno) }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// The kernel's mark on the path of a file that has been unlinked.
enum DeletedMark {
  private static let suffix = Array(" (deleted)".utf8)

  /// The path without the mark, and whether it had one.
  static func split(_ path: String) -> (path: String, isDeleted: Bool) {
    let bytes = Array(path.utf8)
    guard bytes.count > suffix.count, bytes.suffix(suffix.count).elementsEqual(suffix) else {
      return (path, false)
    }
    return (String(decoding: bytes.dropLast(suffix.count), as: UTF8.self), true)
  }
}

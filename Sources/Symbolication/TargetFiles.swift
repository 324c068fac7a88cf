internal import CSymbolShims
internal import Glibc

/// An open file, closed with the value.
struct OpenFile: ~Copyable {
  let descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Gives the descriptor to somebody who closes it.
  consuming func release() -> Int32 {
    let result = descriptor
    discard self
    return result
  }
}

/// Why a file of the target cannot be used.
struct OpenFailure: Error {
  let reason: String
  /// There is no such file.
  var isMissing = false

  init(_ reason: String) { self.reason = reason }

  init(errno code: Int32) {
    reason = code == EINVAL ? "not a regular file" : String(cString: strerror(code))
    isMissing = code == ENOENT
  }
}

/// The files of one process, in its own mount namespace. The two directories are opened once: they stay
/// bound to this process, so a reused pid cannot be mistaken for it, and the root outlives the process.
final class TargetFiles {
  private let process: Int32
  private let root: Int32

  init(pid: Int32) {
    process = Glibc.open("/proc/\(pid)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    root = Glibc.open("/proc/\(pid)/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  }

  deinit {
    if process >= 0 { close(process) }
    if root >= 0 { close(root) }
  }

  /// The file behind a mapping. The kernel's link to it works for deleted files and in any namespace,
  /// but needs CAP_CHECKPOINT_RESTORE; the path is the second best.
  func open(_ mapping: SymbolMapping, path: String) throws(OpenFailure) -> OpenFile {
    var failure = ESRCH
    if process >= 0 {
      let link =
        "map_files/" + String(mapping.start, radix: 16) + "-" + String(mapping.end, radix: 16)
      let result = drip_open_regular(process, link)
      if result >= 0 { return OpenFile(result) }
      failure = -result
    }
    // A deleted path may name another file by now.
    guard path == mapping.path, root >= 0 else { throw OpenFailure(errno: failure) }
    let result = drip_open_in_root(root, path)
    if result >= 0 { return OpenFile(result) }
    throw OpenFailure(errno: failure == ENOENT || failure == ESRCH ? -result : failure)
  }

  /// A regular file by its path in our own tree.
  static func openOnHost(_ path: String) -> OpenFile? {
    let result = drip_open_regular(AT_FDCWD, path)
    return result >= 0 ? OpenFile(result) : nil
  }

  /// A regular file by its path in the target's own tree.
  func openInRoot(_ path: String) -> OpenFile? {
    guard root >= 0 else { return nil }
    let result = drip_open_in_root(root, path)
    return result >= 0 ? OpenFile(result) : nil
  }

  /// A perf map by its path in the target's own tree; links are not followed.
  func openPerfMap(_ path: String) throws(OpenFailure) -> OpenFile {
    let result = root >= 0 ? drip_open_in_root_itself(root, path) : -ENOENT
    guard result >= 0 else { throw OpenFailure(errno: -result) }
    return OpenFile(result)
  }

  /// The first bytes of /proc/PID/status; empty once the process has gone.
  func status() -> [UInt8] {
    let descriptor = process >= 0 ? openat(process, "status", O_RDONLY | O_CLOEXEC) : -1
    guard descriptor >= 0 else { return [] }
    let file = OpenFile(descriptor)
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = read(file.descriptor, &bytes, bytes.count)
    return Array(bytes.prefix(max(count, 0)))
  }
}

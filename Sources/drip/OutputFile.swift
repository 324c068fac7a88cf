import Glibc

/// Where a result goes: a file, opened before the capture so that a bad path fails at once, or standard output.
struct OutputFile: ~Copyable {
  private let descriptor: CInt
  private let path: String?

  /// Files are made for their owner alone: a heap profile tells much about a program.
  init(path: String?) throws(Failure) {
    self.path = path
    guard let path else {
      descriptor = STDOUT_FILENO
      return
    }
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Failure(.cannotWrite, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }

  deinit { if path != nil { close(descriptor) } }

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Writes everything, replacing what a file held before. A reader that has gone ends drip quietly.
  func write(_ bytes: [UInt8]) throws(Failure) {
    if path != nil { _ = ftruncate(descriptor, 0) }
    var offset = 0
    while offset < bytes.count {
      let written = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
      }
      if written < 0 {
        if errno == EINTR { continue }
        if errno == EPIPE { throw Failure(.cannotWrite, "") }
        throw Failure(
          .cannotWrite, "cannot write \(path ?? "standard output"): \(String(cString: strerror(errno)))")
      }
      offset += written
    }
  }
}

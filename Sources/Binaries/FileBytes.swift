import Glibc

/// A regular file, read by pread. Not mapped: the owner of a mapped file can kill its reader by truncating it.
public final class FileBytes: ByteSource {
  private let descriptor: CInt
  private let path: String
  /// The file's size in bytes when it was opened.
  public let count: UInt64
  /// Tells this file, as it was when it was opened, from all others of this machine.
  public let identity: Identity

  /// A file and its state.
  public struct Identity: Sendable, Hashable {
    public let device: UInt64
    public let inode: UInt64
    let size: Int64
    let modifiedSeconds: Int
    let modifiedNanoseconds: Int
  }

  /// Opens a file; anything but a regular file is refused.
  public convenience init(path: String) throws(BinaryError) {
    // O_NONBLOCK: a FIFO in the place of a file must not hold drip up.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard descriptor >= 0 else { throw .unreadable(path: path, code: errno) }
    try self.init(descriptor: descriptor, path: path)
  }

  /// Takes over a file that is open for reading, and closes it, whatever comes of it; anything but a regular file is
  /// refused.
  public init(descriptor: CInt, path: String) throws(BinaryError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw .notRegularFile(path: path)
    }
    self.descriptor = descriptor
    self.path = path
    count = UInt64(max(status.st_size, 0))
    identity = Identity(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
      modifiedSeconds: status.st_mtim.tv_sec, modifiedNanoseconds: status.st_mtim.tv_nsec)
  }

  deinit { close(descriptor) }

  public func read(at offset: UInt64, count: Int) throws(BinaryError) -> [UInt8] {
    try check(at: offset, count: count)
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
    // The file may have shrunk since it was opened.
    guard done == count else {
      throw code == 0 ? .truncated(what: "the end") : .unreadable(path: path, code: code)
    }
    return bytes
  }
}

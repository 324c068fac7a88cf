import Glibc

/// The file of a store and what is looked after before SQLite sees it: who may read it, who may write beside it, that
/// it is a store at all.
///
/// No descriptor of the file may be open, here or elsewhere in the process, once SQLite has it: closing any of them
/// would take off the locks that SQLite holds (fcntl(2)).
enum StoreFile {
  /// Bytes of the header of a file of SQLite's (sqlite.org/fileformat.html), and where in it the application's number
  /// stands, in big-endian order.
  private static let headerSize = 100
  private static let applicationOffset = 68
  private static let magic = Array("SQLite format 3\0".utf8)
  /// "drip" in ASCII.
  static let application: UInt32 = 0x6472_6970

  /// Makes the file, readable for its owner alone, if it is not there, and the last of its folders.
  static func prepare(_ path: String) throws(StoreError) {
    let folder = folder(of: path)
    if mkdir(folder, 0o700) != 0, errno != EEXIST { throw .refused(path: folder, code: errno) }
    try checkFolder(folder)
    let descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0o600)
    guard descriptor >= 0 else {
      throw errno == ELOOP
        ? .unsafe(path: path, reason: "is a symbolic link") : .refused(path: path, code: errno)
    }
    defer { close(descriptor) }
    try check(descriptor, path)
  }

  /// The same for a reader, who makes nothing.
  static func checkForReading(_ path: String) throws(StoreError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw errno == ENOENT ? .missing(path: path) : .refused(path: path, code: errno)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .foreign(path: path)
    }
    guard status.st_size > 0 else { throw .missing(path: path) }
    try checkHeader(descriptor, path)
  }

  static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Whoever may write there can put links in the place of the files that SQLite makes beside the store's.
  private static func checkFolder(_ folder: String) throws(StoreError) {
    var status = stat()
    guard stat(folder, &status) == 0 else { throw .refused(path: folder, code: errno) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw .refused(path: folder, code: ENOTDIR) }
    guard status.st_uid == geteuid() else { throw .unsafe(path: folder, reason: "belongs to somebody else") }
    guard status.st_mode & 0o022 == 0 else {
      throw .unsafe(path: folder, reason: "may be written to by others")
    }
  }

  private static func check(_ descriptor: CInt, _ path: String) throws(StoreError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .refused(path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .foreign(path: path) }
    guard status.st_uid == geteuid() else { throw .unsafe(path: path, reason: "belongs to somebody else") }
    guard status.st_mode & 0o022 == 0 else {
      throw .unsafe(path: path, reason: "may be written to by others")
    }
    guard status.st_nlink == 1 else { throw .unsafe(path: path, reason: "has another name, too") }
    if status.st_size > 0 { try checkHeader(descriptor, path) }
  }

  /// An empty file may become a store; anything else must be one.
  private static func checkHeader(_ descriptor: CInt, _ path: String) throws(StoreError) {
    var header = [UInt8](repeating: 0, count: headerSize)
    let count = pread(descriptor, &header, headerSize, 0)
    guard count >= 0 else { throw .refused(path: path, code: errno) }
    guard count == headerSize, header.starts(with: magic) else { throw .foreign(path: path) }
    let number = header[applicationOffset..<applicationOffset + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    guard number == application else { throw .foreign(path: path) }
  }

  /// Whether the file system has some room left.
  static func hasRoom(_ path: String) -> Bool {
    var status = statvfs()
    guard statvfs(folder(of: path), &status) == 0 else { return true }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize) >= 1 << 20
  }

  /// Bytes that the store takes on disk, with what SQLite keeps beside it.
  static func size(_ path: String) -> UInt64 {
    ["", "-wal"].reduce(0) { sum, suffix in
      var status = stat()
      return stat(path + suffix, &status) == 0 ? sum + UInt64(max(status.st_size, 0)) : sum
    }
  }
}

/// Held by the one process that writes to a store; the kernel lets it go when that dies.
struct StoreLock: ~Copyable {
  private let descriptor: CInt

  /// In a file of its own, see `StoreFile`. It stays behind: removing it would let two writers in.
  init(_ path: String) throws(StoreError) {
    let name = path + "-lock"
    let opened = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard opened >= 0 else { throw .refused(path: name, code: errno) }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      var text = [UInt8](repeating: 0, count: 16)
      let count = max(pread(opened, &text, text.count, 0), 0)
      close(opened)
      guard code == EWOULDBLOCK else { throw .refused(path: name, code: code) }
      throw .inUse(path: path, pid: Int32(String(decoding: text[..<count], as: UTF8.self)) ?? 0)
    }
    let own = Array("\(getpid())".utf8)
    // Only a help for whoever finds it locked.
    if ftruncate(opened, 0) == 0 { _ = pwrite(opened, own, own.count, 0) }
    descriptor = opened
  }

  deinit { close(descriptor) }
}

import GRDB
import Glibc

/// Why a store cannot be used, and what to do about it.
public enum StoreError: Error, Sendable, Hashable, CustomStringConvertible {
  /// There is no such file.
  case missing(path: String)
  /// The file holds something else.
  case foreign(path: String)
  /// A newer drip has made it.
  case newer(path: String)
  /// Its contents contradict themselves; `detail` are SQLite's words.
  case corrupt(path: String, detail: String)
  /// No room is left where it lies.
  case full(path: String)
  /// Another drip writes to it; `pid` is 0 if it is not known.
  case inUse(path: String, pid: Int32)
  /// Others may write to its folder or to the file itself, or they belong to somebody else.
  case unsafe(path: String, reason: String)
  /// The operating system refuses; `code` is the errno.
  case refused(path: String, code: Int32)
  /// Whatever else SQLite says.
  case failed(path: String, detail: String)

  /// A sentence with the next step.
  public var description: String {
    switch self {
    case .missing(let path):
      "there is no store \(path); `drip sample --store \(path)` makes one"
    case .foreign(let path):
      "\(path) is not a store of drip's, and is left as it is; choose another file"
    case .newer(let path):
      "\(path) was made by a newer version of drip; use that version, or choose another file"
    case .corrupt(let path, let detail):
      "\(path) is damaged (\(detail)); move it away, drip makes a new one; `sqlite3 \(path) .recover` may save what it holds"
    case .full(let path):
      "no room is left for \(path); make some, or keep less (--keep, --keep-bytes)"
    case .inUse(let path, let pid):
      "\(pid > 0 ? "process \(pid)" : "another process") writes to \(path) already; end it, or choose another file"
    case .unsafe(let path, let reason):
      "\(path) \(reason); keep the store in a folder of its own that only you may write to (mode 0700)"
    case .refused(let path, let code):
      "cannot use \(path): \(Self.reason(code)); check the path and who may write there"
    case .failed(let path, let detail):
      "the store \(path) cannot be used: \(detail); if that lasts, move the file away, drip makes a new one"
    }
  }

  private static func reason(_ code: Int32) -> String {
    strerror(code).map { String(cString: $0) } ?? "errno \(code)"
  }

  /// What an error of SQLite's means for the file at a path.
  init(_ error: any Error, path: String) {
    if let known = error as? StoreError {
      self = known
      return
    }
    guard let error = error as? DatabaseError else {
      self = .failed(path: path, detail: "\(error)")
      return
    }
    let detail = error.message ?? "SQLite error \(error.extendedResultCode.rawValue)"
    switch error.resultCode {
    case .SQLITE_FULL: self = .full(path: path)
    case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .corrupt(path: path, detail: detail)
    // A write that fails because the disk is full is told as any failed write where it is not of the file itself.
    case .SQLITE_IOERR:
      self = StoreFile.hasRoom(path) ? .failed(path: path, detail: detail) : .full(path: path)
    case .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH: self = .refused(path: path, code: EACCES)
    case .SQLITE_BUSY, .SQLITE_LOCKED: self = .inUse(path: path, pid: 0)
    case .SQLITE_CANTOPEN: self = .refused(path: path, code: access(path, R_OK) == 0 ? EACCES : errno)
    default: self = .failed(path: path, detail: detail)
    }
  }
}

internal import CSymbolShims
internal import Glibc
internal import Synchronization

/// Debug information from the servers that the user names in DEBUGINFOD_URLS, by build id, through libdebuginfod and
/// its cache. Without that variable nothing is loaded and nobody is asked.
///
/// What goes out is a build id in hexadecimal digits and nothing else of the target. What comes is taken to be hostile
/// like every other file, and must carry the build id.
public enum DebugServers {
  /// Waiting for a server in seconds: 10 until it begins to send and while nothing more comes, two minutes for a file.
  private static let patience = drip_patience(first_answer: 10, stall: 10, whole: 120)

  private struct State {
    /// Builds of which the servers know nothing.
    var unknown: Set<String> = []
    var fetched: Set<String> = []
    /// Why no server is asked any more.
    var obstacle: String?
  }

  private static let state = Mutex(State())

  /// What a reader should know: whether names came from servers, and why others did not. Empty if none is named.
  public static var notes: [String] {
    state.withLock { state in
      var notes: [String] = []
      if !state.fetched.isEmpty {
        notes.append(
          "debug information of \(state.fetched.count) files came from the servers of DEBUGINFOD_URLS")
      }
      if let obstacle = state.obstacle {
        notes.append("DEBUGINFOD_URLS: \(obstacle); some names may be missing")
      }
      return notes
    }
  }

  /// The debug file of a build; nil if no server is named or none has it.
  static func find(_ buildID: [UInt8]) -> OpenFile? {
    guard let urls = getenv("DEBUGINFOD_URLS"), urls.pointee != 0, buildID.count > 1 else { return nil }
    let id = SymbolFile.hex(buildID)
    guard state.withLock({ $0.obstacle == nil && !$0.unknown.contains(id) }) else { return nil }
    if let obstacle = CacheDirectory.prepare() {
      state.withLock { $0.obstacle = obstacle }
      return nil
    }
    var patience = patience
    let result = drip_debuginfod_find(id, &patience)
    state.withLock { state in
      switch -result {
      case ...0: state.fetched.insert(id)
      case ENOSYS: state.obstacle = "libdebuginfod is not installed"
      // It would keep every other name waiting as long.
      case ETIMEDOUT: state.obstacle = "no answer in time"
      default: state.unknown.insert(id)
      }
    }
    return result >= 0 ? OpenFile(result) : nil
  }
}

/// Where libdebuginfod keeps what it has fetched: nobody else may write there.
enum CacheDirectory {
  /// The directory by the rules of debuginfod_find_debuginfo(3); nil if the environment names none.
  static var path: String? {
    if let path = variable("DEBUGINFOD_CACHE_PATH") { return path }
    let home = variable("HOME")
    if let home, exists(home + "/.debuginfod_client_cache") { return home + "/.debuginfod_client_cache" }
    if let cache = variable("XDG_CACHE_HOME") { return cache + "/debuginfod_client" }
    return home.map { $0 + "/.cache/debuginfod_client" }
  }

  /// Makes the directory, for its owner alone. Returns why it must not be used; nil if it may.
  static func prepare() -> String? {
    guard let path, path.hasPrefix("/") else { return "no directory for the cache" }
    var end = path.utf8.index(after: path.startIndex)
    while let slash = path.utf8[end...].firstIndex(of: UInt8(ascii: "/")) {
      mkdir(String(path[..<slash]), 0o700)
      end = path.utf8.index(after: slash)
    }
    mkdir(path, 0o700)
    var status = stat()
    guard stat(path, &status) == 0 else {
      return "\(path) cannot be made: \(String(cString: strerror(errno)))"
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return "\(path) is no directory" }
    guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
      return "others may write to \(path)"
    }
    return nil
  }

  private static func variable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
  }

  private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

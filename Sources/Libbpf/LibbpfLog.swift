import CLibbpfShims
import Synchronization

/// libbpf's own messages. They are kept, not printed: they matter only when something has failed, and then
/// they travel with the error.
public enum LibbpfLog {
  private static let lines = Mutex<[String]>([])
  private static let limit = 200

  private static let installed: Void = clibbpf_set_log_sink { level, message in
    // LIBBPF_DEBUG is 2: not worth keeping.
    guard level < 2 else { return }
    let text = String(cString: message)
    LibbpfLog.lines.withLock { kept in
      for line in text.split(separator: "\n") { kept.append(String(line)) }
      if kept.count > limit { kept.removeFirst(kept.count - limit) }
    }
  }

  /// Starts keeping messages; later calls do nothing.
  static func capture() { _ = installed }

  /// The messages so far, which are then forgotten.
  static func take() -> [String] {
    lines.withLock { kept in
      defer { kept = [] }
      return kept
    }
  }
}

import Glibc

/// Waits for time to pass, for SIGINT or SIGTERM, or for the target to exit: whichever comes first.
struct Waiter: ~Copyable {
  enum Event {
    case timeout
    case interrupted
    case targetExited
  }

  private let signals: CInt
  private let target: CInt

  /// Blocks the signals that end a capture; must run before any thread exists.
  static func blockSignals() {
    var set = signalSet()
    sigprocmask(SIG_BLOCK, &set, nil)
  }

  /// Lets a further SIGINT kill drip, once its result is being written.
  static func unblockSignals() {
    var set = signalSet()
    sigprocmask(SIG_UNBLOCK, &set, nil)
  }

  private static func signalSet() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGHUP)
    return set
  }

  /// `exitDescriptor`: a pidfd, readable once the target has exited.
  init(exitDescriptor: CInt) {
    var set = Self.signalSet()
    signals = signalfd(-1, &set, CInt(SFD_CLOEXEC.rawValue))
    target = exitDescriptor
  }

  deinit { close(signals) }

  /// Waits until `deadline` (CLOCK_MONOTONIC seconds; nil for ever).
  func wait(until deadline: Double?) -> Event {
    while true {
      var milliseconds: CInt = -1
      if let deadline {
        let left = deadline - monotonicSeconds()
        if left <= 0 { milliseconds = 0 } else { milliseconds = CInt(min(left * 1000 + 1, 1e9)) }
      }
      var descriptors = [
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
        pollfd(fd: target, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&descriptors, 2, milliseconds)
      if ready < 0 { continue }
      if descriptors[0].revents != 0 { return .interrupted }
      if descriptors[1].revents != 0 { return .targetExited }
      if let deadline, monotonicSeconds() >= deadline { return .timeout }
    }
  }
}

/// CLOCK_MONOTONIC in seconds.
func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

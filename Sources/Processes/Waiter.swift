import CLinuxShims
import Glibc

/// Waits for time to pass, for SIGINT, SIGTERM or SIGHUP, or for one of the processes to exit: whichever
/// comes first.
public struct Waiter: ~Copyable {
  public enum Event: Sendable, Hashable {
    case timeout
    case interrupted
    case targetExited
    /// This one of the descriptors that the owner has named is readable.
    case woken(CInt)
  }

  private let signals: CInt
  private var targets: [TargetProcess]
  /// Each ends a wait when it becomes readable.
  public var wakeDescriptors: [CInt] = []

  /// Catches the signals that end a capture. To be called before the capture begins, so that none of them can
  /// kill drip with its probes in place.
  public static func catchSignals() { _ = clinux_catch_termination() }

  /// Lets a second SIGINT kill drip, once its result is being written. The first, which may come a moment after a
  /// watch has ended by itself, must not cost the result.
  public static func releaseSignals() { clinux_release_termination() }

  public init(_ processes: [TargetProcess] = []) {
    signals = clinux_catch_termination()
    targets = processes
  }

  /// From now on waits for these processes.
  public mutating func watch(_ processes: [TargetProcess]) { targets = processes }

  /// Waits until `deadline` (CLOCK_MONOTONIC seconds; nil for ever).
  public func wait(until deadline: Double?) -> Event {
    while true {
      var milliseconds: CInt = -1
      if let deadline {
        let left = deadline - monotonicSeconds()
        milliseconds = left <= 0 ? 0 : CInt(min(left * 1000 + 1, 1e9))
      }
      var descriptors = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)]
      descriptors += wakeDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      descriptors += targets.map { pollfd(fd: $0.exitDescriptor, events: Int16(POLLIN), revents: 0) }
      guard poll(&descriptors, nfds_t(descriptors.count), milliseconds) >= 0 else { continue }
      if descriptors[0].revents != 0 { return .interrupted }
      let woken = descriptors[1...].prefix(wakeDescriptors.count).first { $0.revents != 0 }
      if let woken { return .woken(woken.fd) }
      if descriptors.dropFirst(1 + wakeDescriptors.count).contains(where: { $0.revents != 0 }) {
        return .targetExited
      }
      if let deadline, monotonicSeconds() >= deadline { return .timeout }
    }
  }
}

/// CLOCK_MONOTONIC in seconds.
public func monotonicSeconds() -> Double { Double(monotonicNanoseconds()) / 1e9 }

/// CLOCK_MONOTONIC in nanoseconds: the clock of bpf_ktime_get_ns.
public func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

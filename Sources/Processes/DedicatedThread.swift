import Glibc
import Synchronization

/// Threads of drip's own, for what must not run on, or hold up, the threads that Swift's tasks share.
public enum DedicatedThread {
  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  /// Begins to run a function on a thread of its own; 0 or an errno.
  static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Body(body))
    let code = pthread_create(
      &thread, nil,
      { raw in
        if let raw { Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run() }
        return nil
      }, argument.toOpaque())
    if code == 0 { pthread_detach(thread) } else { argument.release() }
    return code
  }

  /// Whether the calling thread goes before others: for as long as a process stands still because of it. Takes the
  /// right to do so; without it nothing changes.
  public static func setUrgent(_ isUrgent: Bool) {
    // In Linux the priority is the thread's, whatever the constant's name says; 0 is the caller.
    _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, isUrgent ? -20 : 0)
  }

  /// Runs a function on a thread of its own and waits for its result without holding up other tasks. On the calling
  /// thread if there can be no other.
  public static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      let code = start { continuation.resume(returning: body()) }
      if code != 0 { continuation.resume(returning: body()) }
    }
  }
}

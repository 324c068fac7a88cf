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

  /// Runs a function on a thread of its own and waits for its result without holding up other tasks. On the calling
  /// thread if there can be no other.
  public static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      let code = start { continuation.resume(returning: body()) }
      if code != 0 { continuation.resume(returning: body()) }
    }
  }
}

import CLinuxShims
import Glibc
import Synchronization

/// Follows processes over fork and exec by ptrace, so that a child can be looked at before its first instruction.
/// Between such events the processes run at their own pace; signals are passed on. When drip ends, in whatever way,
/// the kernel lets them all go.
///
/// ptrace belongs to one thread, so a follower has one of its own. The owner waits on `descriptor`, takes `events`,
/// and tells for each when the process may go on.
public final class Follower: Sendable {
  public enum Event: Sendable, Hashable {
    /// A new process, with a copy of its parent's memory, before its first instruction.
    case forked(parent: Int32, child: Int32)
    /// A program has been executed and has not begun; its libraries are not there yet.
    case execed(Int32)
    /// On the way from `execed`: it has returned from the system call of this number.
    case loading(Int32, syscall: Int64)

    public var pid: Int32 {
      switch self {
      case .forked(_, let pid), .execed(let pid), .loading(let pid, _): pid
      }
    }
  }

  /// How a held process goes on.
  public enum Step: Sendable, Hashable {
    case run
    /// To the end of the next system call, which is told as `loading`.
    case toSyscall
    /// It is no more followed.
    case letGo
  }

  private struct Shared {
    var events: [Event] = []
    var orders: [(pid: Int32, step: Step)] = []
    var isStopping = false
    var thread: Int32 = 0
    var failure: ProcessError?
    var isReady = false
    var isDone = false
    var hasTracees = true
  }

  private let shared = Mutex(Shared())
  private let pipe: (read: Int32, write: Int32)

  /// Whether there is anybody left to follow: also processes that are just executing another program, or whose
  /// memory is their parent's, or that nothing could be counted of. Ready to be asked when `descriptor` is.
  public var hasTracees: Bool { shared.withLock { $0.hasTracees } }

  /// Readable while there are events, and once when there is nobody left to follow.
  public var descriptor: Int32 { pipe.read }

  /// Begins to follow processes, with all of their threads.
  public init(_ pids: [Int32]) throws(ProcessError) {
    var ends: [Int32] = [0, 0]
    guard Glibc.pipe(&ends) == 0 else {
      throw .unreadable(pid: pids.first ?? 0, path: "a pipe", code: errno)
    }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    pipe = (ends[0], ends[1])
    let code = start(pids)
    guard code == 0 else { throw .unreadable(pid: pids.first ?? 0, path: "a thread", code: code) }
    while !shared.withLock({ $0.isReady }) { sched_yield() }
    if let failure = shared.withLock({ $0.failure }) { throw failure }
  }

  private func start(_ pids: [Int32]) -> Int32 {
    final class Argument {
      let follower: Follower
      let pids: [Int32]
      init(_ follower: Follower, _ pids: [Int32]) {
        self.follower = follower
        self.pids = pids
      }
    }
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Argument(self, pids))
    let code = pthread_create(
      &thread, nil,
      { raw in
        guard let raw else { return nil }
        let argument = Unmanaged<Argument>.fromOpaque(raw).takeRetainedValue()
        argument.follower.run(argument.pids)
        return nil
      }, argument.toOpaque())
    if code == 0 { pthread_detach(thread) } else { argument.release() }
    return code
  }

  /// What has happened since the last call. Each process in it stands still until `resume`.
  public func events() -> [Event] {
    var byte: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
    while read(pipe.read, &byte, byte.count) > 0 {}
    return shared.withLock { shared in
      defer { shared.events = [] }
      return shared.events
    }
  }

  /// Lets a held process go on.
  public func resume(_ pid: Int32, _ step: Step) {
    let thread = shared.withLock { shared in
      shared.orders.append((pid, step))
      return shared.thread
    }
    // A signal that comes just before the wait is lost, so one may not be enough.
    while shared.withLock({ !$0.orders.isEmpty && !$0.isDone }) {
      _ = clinux_wake(thread)
      usleep(100)
    }
  }

  /// Lets all processes go, running, and waits until that is done.
  public func stop() {
    shared.withLock { $0.isStopping = true }
    while !shared.withLock({ $0.isDone }) {
      _ = clinux_wake(shared.withLock { $0.thread })
      usleep(1000)
    }
    close(pipe.read)
    close(pipe.write)
  }

  // MARK: The follower's own thread

  private func run(_ pids: [Int32]) {
    _ = clinux_catch_wakeup()
    shared.withLock { $0.thread = clinux_thread() }
    var loop = FollowerLoop { event in
      self.shared.withLock { $0.events.append(event) }
      _ = write(self.pipe.write, [1], 1)
    }
    let failure = loop.seize(pids)
    shared.withLock { shared in
      shared.failure = failure
      shared.isReady = true
    }
    while failure == nil {
      let (orders, isStopping) = shared.withLock { shared in
        defer { shared.orders = [] }
        return (shared.orders, shared.isStopping)
      }
      for order in orders { loop.obey(order.pid, order.step) }
      if isStopping { break }
      // Without anybody to wait for, there is only the owner's word to come.
      if !loop.wait() { usleep(2000) }
      let hadTracees = shared.withLock { shared in
        defer { shared.hasTracees = loop.hasTracees }
        return shared.hasTracees
      }
      if hadTracees, !loop.hasTracees { _ = write(pipe.write, [1], 1) }
    }
    loop.letAllGo()
    shared.withLock { $0.isDone = true }
  }
}

import CLinuxShims
import Glibc
import Synchronization

/// A process all of whose threads stand still for a bounded time, by ptrace. No signal is sent, its parent hears
/// nothing, and a system call that a thread waits in goes on afterwards as if nothing had been.
///
/// ptrace belongs to one thread, so each stopper has one of its own. It lets the process go when it is told to, or when
/// the time is over, whatever its owner is doing then; and if drip dies, the kernel lets the process go.
public final class TargetStopper: Sendable {
  /// What a stopped thread had in its hands.
  public struct Thread: Sendable, Hashable {
    public var id: Int32
    /// 0 where it is not known.
    public var stackPointer: UInt64
    /// Where the thread's static thread-local storage is (on x86-64 fs, below which it lies); 0 where it is not known.
    public var threadPointer: UInt64
    /// General registers, vector registers, and what the kernel keeps beside them.
    public var words: [UInt64]

    public init(id: Int32, stackPointer: UInt64, threadPointer: UInt64, words: [UInt64]) {
      self.id = id
      self.stackPointer = stackPointer
      self.threadPointer = threadPointer
      self.words = words
    }
  }

  /// How a stop ended.
  public struct Ending: Sendable, Hashable {
    /// From the first thread that was asked to stop to the last that was let go.
    public var seconds: Double
    /// It stood still until `release`: the time was not over before.
    public var isWhole: Bool
  }

  private struct Shared {
    var threads: [Thread] = []
    var isFrozen = false
    var failure: StopRefusal?
    var isReady = false
    var ending: Ending?
    var isReleased = false
  }

  private let shared = Mutex(Shared())
  private let pipe: (read: Int32, write: Int32)

  /// The threads that stand still, with their registers.
  public var threads: [Thread] { shared.withLock { $0.threads } }

  /// Every thread stands still. False if one was in the kernel and did not come out in time (a disk that does not
  /// answer, a child of vfork): it will run no instruction of the program before it is let go, but its registers are
  /// not known.
  public var isFrozen: Bool { shared.withLock { $0.isFrozen } }

  /// Stops a process for at most so many seconds. Returns when it stands still.
  public init(pid: Int32, seconds: Double) throws(StopRefusal) {
    var ends: [Int32] = [0, 0]
    guard Glibc.pipe(&ends) == 0 else { throw .refused(pid: pid, code: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    pipe = (ends[0], ends[1])
    let code = DedicatedThread.start { self.run(pid, until: monotonicSeconds() + seconds) }
    guard code == 0 else { throw .refused(pid: pid, code: code) }
    // The thread writes once when it is ready, and waits for nothing itself before.
    while !shared.withLock({ $0.isReady }) { usleep(50) }
    if let failure = shared.withLock({ $0.failure }) { throw failure }
  }

  deinit {
    close(pipe.read)
    close(pipe.write)
  }

  /// Lets the process go on, if it does not already, and says how it was.
  @discardableResult
  public func release() -> Ending {
    shared.withLock { $0.isReleased = true }
    _ = write(pipe.write, [1], 1)
    while true {
      if let ending = shared.withLock({ $0.ending }) { return ending }
      usleep(50)
    }
  }

  // MARK: The stopper's own thread

  private func run(_ pid: Int32, until deadline: Double) {
    DedicatedThread.setUrgent(true)
    let start = monotonicSeconds()
    var hold = TargetHold(pid: pid)
    let failure = hold.stopAll(until: deadline)
    shared.withLock { shared in
      shared.threads = hold.readRegisters()
      shared.isFrozen = hold.isFrozen
      shared.failure = failure
      shared.isReady = true
    }
    if failure == nil {
      while !shared.withLock({ $0.isReleased }) {
        let left = deadline - monotonicSeconds()
        if left <= 0 { break }
        var entry = pollfd(fd: pipe.read, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, Int32(min(left * 1000 + 1, 1e9)))
      }
    }
    let isWhole = shared.withLock { $0.isReleased }
    hold.letAllGo()
    // Threads that have not stopped yet are let go by the kernel when this one ends.
    shared.withLock { $0.ending = Ending(seconds: monotonicSeconds() - start, isWhole: isWhole) }
  }
}

import CLinuxShims
import Glibc

/// The ptrace side of a stop, on its one thread. Seizing, interrupting and detaching send no signal, so the process's
/// parent is not told, and system calls are restarted by the kernel (ptrace(2), PTRACE_INTERRUPT).
struct TargetHold {
  private enum State {
    case asked
    /// With the signal that it was about to get; 0 for none.
    case stopped(signal: Int32)
  }

  private let pid: Int32
  private var threads: [Int32: State] = [:]

  /// How long a thread that sleeps in the kernel and cannot be woken may keep the others waiting. One that only waits
  /// for a CPU may for longer.
  private static let patience = 0.05

  init(pid: Int32) { self.pid = pid }

  /// No thread is left that was asked and has not stopped.
  var isFrozen: Bool {
    threads.values.allSatisfy { if case .stopped = $0 { true } else { false } }
  }

  /// Asks all threads to stop and waits until they have, those that are born meanwhile included.
  mutating func stopAll(until deadline: Double) -> StopRefusal? {
    while true {
      var hasNew = false
      for thread in ProcessFiles.threads(pid) where threads[thread] == nil {
        switch seize(thread) {
        case .failure(let refusal):
          letAllGo()
          return refusal
        case .success(let isHeld): hasNew = hasNew || isHeld
        }
      }
      guard hasNew else { break }
      waitForStops(until: deadline)
    }
    return threads.isEmpty ? .gone(pid: pid) : nil
  }

  /// True if the thread has been asked to stop; false if there is none to ask.
  private mutating func seize(_ thread: Int32) -> Result<Bool, StopRefusal> {
    let code = clinux_ptrace_seize_only(thread)
    guard code == 0 else {
      // One that has ended and waits to be collected cannot be traced, and need not be.
      if code == -ESRCH || ProcessFiles.hasEnded(thread, of: pid) { return .success(false) }
      return .failure(StopRefusal.explain(pid: pid, code: -code))
    }
    threads[thread] = .asked
    // If it has ended since, the wait tells.
    _ = clinux_ptrace_interrupt(thread)
    return .success(true)
  }

  private mutating func waitForStops(until deadline: Double) {
    let impatient = monotonicSeconds() + Self.patience
    while true {
      var isWaiting = false
      for (thread, state) in threads {
        guard case .asked = state else { continue }
        var status: Int32 = 0
        let found = clinux_wait_thread(thread, &status)
        if found == 0 {
          isWaiting = true
        } else if found < 0 {
          threads[thread] = nil
        } else {
          note(thread, status)
        }
      }
      let now = monotonicSeconds()
      if !isWaiting || now >= deadline || now >= impatient && areRestAsleep { return }
      usleep(now < impatient ? 30 : 1000)
    }
  }

  /// No thread is left to wait for but those in uninterruptible sleep.
  private var areRestAsleep: Bool {
    threads.allSatisfy { thread, state in
      guard case .asked = state else { return true }
      return ProcessFiles.isUninterruptible(thread, of: pid)
    }
  }

  private mutating func note(_ thread: Int32, _ status: Int32) {
    switch Tracee.Stop(status: status) {
    case .exited: threads[thread] = nil
    // A signal came first. It is delivered when the thread is let go.
    case .signal(let signal): threads[thread] = .stopped(signal: signal)
    default: threads[thread] = .stopped(signal: 0)
    }
  }

  func readRegisters() -> [TargetStopper.Thread] {
    // Room for the widest vector registers that there are, 11 KiB with tiles.
    var words = [UInt64](repeating: 0, count: 2048)
    return threads.sorted { $0.key < $1.key }.compactMap { thread, state in
      guard case .stopped = state else { return nil }
      var stack: UInt64 = 0
      var local: UInt64 = 0
      let general = clinux_ptrace_registers(thread, &words, words.count, &stack, &local)
      guard general > 0 else { return nil }
      var known = Array(words.prefix(Int(general)))
      let vectors = clinux_ptrace_vectors(thread, &words, words.count)
      if vectors > 0 { known += words.prefix(Int(vectors)) }
      return TargetStopper.Thread(id: thread, stackPointer: stack, threadPointer: local, words: known)
    }
  }

  /// Some system calls fail with EINTR after any stop, epoll_wait among them, and not every program expects that where
  /// no signal came. Nothing has come of them yet, so they may begin anew; a timeout of theirs begins anew, too. With a
  /// signal to handle, EINTR is what the program waits for.
  private func restart(_ thread: Int32, _ signal: Int32) {
    guard signal == 0, clinux_ptrace_was_interrupted(thread) != 0,
      !ProcessFiles.hasSignalToHandle(thread, of: pid)
    else { return }
    _ = clinux_ptrace_begin_anew(thread)
  }

  mutating func letAllGo() {
    for (thread, state) in threads {
      // One that has stopped since the wait for it was given up can be let go; of the others the kernel takes care.
      var signal: Int32 = 0
      if case .stopped(let pending) = state {
        signal = pending
      } else {
        var status: Int32 = 0
        guard clinux_wait_thread(thread, &status) > 0 else { continue }
        if case .signal(let pending) = Tracee.Stop(status: status) { signal = pending }
      }
      restart(thread, signal)
      _ = clinux_ptrace_detach(thread, signal)
    }
    threads = [:]
  }
}

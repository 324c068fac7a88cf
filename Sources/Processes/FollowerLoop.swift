import CLinuxShims
import Glibc

/// The part of a follower that talks to ptrace, on its one thread.
struct FollowerLoop {
  private var tracees: [Int32: Tracee] = [:]
  /// Held processes whose stop had a signal to deliver: none has, so far as ptrace(2) says.
  private let tell: (Follower.Event) -> Void
  /// Who forked a child that has not been heard of.
  private var parents: [Int32: Int32] = [:]
  /// Children that share their parent's memory until they execute something.
  private var borrowers: Set<Int32> = []
  /// New processes whose first stop came before their parent's report.
  private var orphans: Set<Int32> = []

  /// There are processes that are followed, or about to be.
  var hasTracees: Bool { !tracees.isEmpty || !parents.isEmpty }

  init(tell: @escaping (Follower.Event) -> Void) { self.tell = tell }

  /// Seizes all threads of processes. New ones may appear meanwhile, until all of them are held.
  mutating func seize(_ pids: [Int32]) -> ProcessError? {
    for pid in pids {
      var isComplete = false
      while !isComplete {
        isComplete = true
        for thread in ProcessFiles.threads(pid) where tracees[thread] == nil {
          let code = clinux_ptrace_seize(thread)
          if code == 0 {
            tracees[thread] = Tracee(process: pid, phase: .running)
            isComplete = false
          } else if code != -ESRCH {
            letAllGo()
            return refusal(pid, -code)
          }
        }
      }
    }
    return nil
  }

  private func refusal(_ pid: Int32, _ code: Int32) -> ProcessError {
    if let tracer = ProcessFiles.tracer(of: pid), tracer != 0, tracer != getpid() {
      return .traced(pid: pid, tracer: tracer)
    }
    return .notPermitted(pid: pid, what: "the children, by ptrace (errno \(code))")
  }

  /// Waits for one stop and handles it. False if there is nobody to wait for.
  mutating func wait() -> Bool {
    var status: Int32 = 0
    let thread = clinux_wait_any(&status)
    guard thread > 0 else { return thread == -EINTR }
    let stop = Tracee.Stop(status: status)
    if tracees[thread] == nil {
      guard stop != .exited else {
        // Killed before its first stop was seen.
        parents[thread] = nil
        borrowers.remove(thread)
        return true
      }
      adopt(thread)
    }
    handle(thread, stop)
    return true
  }

  /// A thread that is heard of for the first time: the kernel has seized it for us when it was born.
  private mutating func adopt(_ thread: Int32) {
    let process = ProcessFiles.leader(of: thread) ?? thread
    tracees[thread] = Tracee(process: process, phase: process == thread ? .newborn : .running)
  }

  private mutating func handle(_ thread: Int32, _ stop: Tracee.Stop) {
    guard var tracee = tracees[thread] else { return }
    let action = tracee.handle(stop)
    switch stop {
    case .forked(let sharesMemory):
      var child: UInt64 = 0
      if clinux_ptrace_message(thread, &child) == 0 {
        let child = Int32(truncatingIfNeeded: child)
        parents[child] = tracee.process
        if sharesMemory { borrowers.insert(child) }
        if orphans.remove(child) != nil { introduce(child) }
      }
    case .execed:
      var former: UInt64 = 0
      if clinux_ptrace_message(thread, &former) == 0, former != UInt64(thread) {
        tracees[Int32(truncatingIfNeeded: former)] = nil
      }
      borrowers.remove(thread)
    default: break
    }
    switch action {
    case .run(let signal): run(thread, tracee, signal)
    case .listen: _ = clinux_ptrace_listen(thread)
    case .forget:
      tracees[thread] = nil
      return
    case .tell:
      switch stop {
      case .execed:
        tracee.phase = .held
        tracees[thread] = tracee
        tell(.execed(thread))
        return
      case .syscall:
        let number = clinux_ptrace_syscall_exit(thread)
        guard number >= 0 else {
          run(thread, tracee, 0)
          break
        }
        tracee.phase = .held
        tracees[thread] = tracee
        tell(.loading(thread, syscall: number))
        return
      default:
        // The first stop of a process. Whether it has memory of its own is known from its parent.
        if parents[thread] == nil { orphans.insert(thread) } else { introduce(thread) }
        return
      }
    }
    tracees[thread] = tracee
  }

  private mutating func introduce(_ child: Int32) {
    guard let parent = parents.removeValue(forKey: child), var tracee = tracees[child] else { return }
    if borrowers.contains(child) {
      // Until it executes something it is its parent, as far as memory goes.
      tracee.phase = .running
      tracees[child] = tracee
      run(child, tracee, 0)
      return
    }
    tracee.phase = .held
    tracees[child] = tracee
    tell(.forked(parent: parent, child: child))
  }

  private func run(_ thread: Int32, _ tracee: Tracee, _ signal: Int32) {
    if tracee.phase == .loading {
      _ = clinux_ptrace_to_syscall(thread, signal)
    } else {
      _ = clinux_ptrace_continue(thread, signal)
    }
  }

  /// Lets a held process go on as its owner says.
  mutating func obey(_ pid: Int32, _ step: Follower.Step) {
    guard var tracee = tracees[pid], tracee.phase == .held else { return }
    switch step {
    case .run: tracee.phase = .running
    case .toSyscall: tracee.phase = .loading
    case .letGo:
      tracees[pid] = nil
      _ = clinux_ptrace_detach(pid, 0)
      return
    }
    tracees[pid] = tracee
    run(pid, tracee, 0)
  }

  /// Stops each thread once more, for only a stopped one can be let go, and lets it run on with the signal that it
  /// was about to get.
  mutating func letAllGo() {
    for (thread, tracee) in tracees where tracee.phase == .held || orphans.contains(thread) {
      _ = clinux_ptrace_detach(thread, 0)
      tracees[thread] = nil
    }
    for thread in tracees.keys where clinux_ptrace_interrupt(thread) != 0 { tracees[thread] = nil }
    while !tracees.isEmpty {
      var status: Int32 = 0
      let thread = clinux_wait_any(&status)
      if thread == -EINTR { continue }
      guard thread > 0 else { return }
      let stop = Tracee.Stop(status: status)
      if case .signal(let signal) = stop {
        _ = clinux_ptrace_detach(thread, signal)
      } else if stop != .exited {
        _ = clinux_ptrace_detach(thread, 0)
      }
      tracees[thread] = nil
    }
  }
}

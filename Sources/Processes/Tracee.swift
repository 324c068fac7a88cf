import Glibc

/// A thread that is followed, and what is to be done at each of its stops. Pure: a stop in, an action out; see
/// ptrace(2), "Stopped states".
struct Tracee: Sendable, Hashable {
  /// What a wait status says.
  enum Stop: Sendable, Hashable {
    case exited
    /// A signal is about to be delivered.
    case signal(Int32)
    /// The whole process has been stopped by a signal, or the stop has ended (`signal` is SIGTRAP then).
    case group(Int32)
    case forked(sharesMemory: Bool)
    case cloned
    case execed
    case syscall

    /// `status` is what waitpid gave.
    init(status: Int32) {
      let signal = status >> 8 & 0xff
      guard status & 0xff == 0x7f else {
        self = .exited
        return
      }
      switch status >> 16 {
      case 1: self = .forked(sharesMemory: false)
      case 2: self = .forked(sharesMemory: true)
      case 3: self = .cloned
      case 4: self = .execed
      case 128: self = .group(signal)
      default: self = signal == SIGTRAP | 0x80 ? .syscall : .signal(signal)
      }
    }
  }

  enum Action: Sendable, Hashable {
    case run(signal: Int32)
    /// Stays stopped with its group.
    case listen
    /// Stays stopped until the owner has done what it wants.
    case tell
    case forget
  }

  enum Phase: Sendable, Hashable {
    /// A new process that has not run yet.
    case newborn
    case running
    /// It has executed a program, which is being loaded: it runs from system call to system call.
    case loading
    /// It waits for the owner.
    case held
  }

  var process: Int32
  var phase: Phase

  mutating func handle(_ stop: Stop) -> Action {
    switch stop {
    case .exited: return .forget
    case .signal(let signal): return .run(signal: signal)
    case .group(let signal):
      // A new process or thread begins with this stop.
      if phase == .newborn { return .tell }
      return [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU].contains(signal) ? .listen : .run(signal: 0)
    case .forked, .cloned: return .run(signal: 0)
    case .execed: return .tell
    case .syscall: return phase == .loading ? .tell : .run(signal: 0)
    }
  }
}

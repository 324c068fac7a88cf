import Glibc

/// Why a process cannot be watched, and what to do about it.
public enum ProcessError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Nothing has this number.
  case noSuchProcess(pid: Int32)
  /// A thread of the kernel's, without user memory.
  case kernelThread(pid: Int32, name: String)
  /// The kernel refuses to show us `what`.
  case notPermitted(pid: Int32, what: String)
  /// It went away while we looked at it.
  case exited(pid: Int32)
  /// It has exited and waits to be collected, or its first thread has.
  case zombie(pid: Int32)
  /// It runs a 32-bit program.
  case thirtyTwoBit(pid: Int32, executable: String)
  /// A file could not be read; `code` is the errno.
  case unreadable(pid: Int32, path: String, code: Int32)
  /// Another program traces it, and there can be only one.
  case traced(pid: Int32, tracer: Int32)
  /// The number is that of a thread; `leader` is its process.
  case thread(pid: Int32, leader: Int32)

  /// A sentence with the next step. What the process itself has named is cleaned for the terminal.
  public var description: String {
    switch self {
    case .noSuchProcess(let pid): "there is no process \(pid); check the number with `pgrep -a NAME`"
    case .kernelThread(let pid, let name):
      "\(pid) is a kernel thread (\(displayable(name))): it has no user memory; choose a user process"
    case .notPermitted(let pid, let what):
      "not permitted to read \(displayable(what)) of process \(pid); run drip as root"
    case .exited(let pid):
      "process \(pid) has exited; start it again, and check its new number with `pgrep -a NAME`"
    case .zombie(let pid):
      "process \(pid) has exited and waits for its parent to collect it (a zombie); nothing is left to watch, choose another"
    case .thirtyTwoBit(let pid, let executable):
      "process \(pid) runs a 32-bit program (\(displayable(executable))); drip watches 64-bit programs only: use a 64-bit build of it"
    case .unreadable(let pid, let path, let code):
      "cannot read \(displayable(path)) of process \(pid) (\(Self.reason(code))); run drip as root, and check that the file system still answers"
    case .traced(let pid, let tracer):
      "process \(pid) is traced by process \(tracer) (a debugger?), so its children cannot be followed; end that, or leave --follow out"
    case .thread(let pid, let leader): "\(pid) is a thread of \(leader); use -p \(leader)"
    }
  }

  private static func reason(_ code: Int32) -> String {
    // In glibc its buffer, if it needs one, belongs to the thread.
    strerror(code).map { String(cString: $0) } ?? "errno \(code)"
  }
}

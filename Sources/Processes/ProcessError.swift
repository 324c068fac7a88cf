/// Why a process cannot be watched, and what to do about it.
public enum ProcessError: Error, Sendable, Hashable, CustomStringConvertible {
  case noSuchProcess(pid: Int32)
  case kernelThread(pid: Int32, name: String)
  case notPermitted(pid: Int32, what: String)
  case exited(pid: Int32)
  case zombie(pid: Int32)
  case thirtyTwoBit(pid: Int32, executable: String)
  case unreadable(pid: Int32, path: String, code: Int32)
  case thread(pid: Int32, leader: Int32)

  public var description: String {
    switch self {
    case .noSuchProcess(let pid): "there is no process \(pid); check the number with `pgrep -a NAME`"
    case .kernelThread(let pid, let name):
      "\(pid) is a kernel thread (\(name)): it has no user memory; choose a user process"
    case .notPermitted(let pid, let what): "not permitted to read \(what) of process \(pid); run drip as root"
    case .exited(let pid): "process \(pid) has exited"
    case .zombie(let pid): "process \(pid) has exited and waits for its parent to collect it (a zombie)"
    case .thirtyTwoBit(let pid, let executable):
      "process \(pid) runs a 32-bit program (\(executable)); drip watches 64-bit programs only"
    case .unreadable(let pid, let path, let code):
      "cannot read \(path) of process \(pid) (errno \(code)); run drip as root, and check that the file system still answers"
    case .thread(let pid, let leader): "\(pid) is a thread of process \(leader); use -p \(leader)"
    }
  }
}

import Glibc

/// Why a process cannot be stopped, or its memory not be read.
public enum StopRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  /// It has exited.
  case gone(pid: Int32)
  /// Another process traces it, and there can be only one.
  case traced(pid: Int32, tracer: Int32)
  /// drip itself follows its children by ptrace.
  case followed(pid: Int32)
  /// Yama forbids it; `scope` is kernel.yama.ptrace_scope.
  case yama(pid: Int32, scope: Int)
  /// The kernel says no; `code` is the errno.
  case refused(pid: Int32, code: Int32)

  /// A phrase for a sentence that goes on with what was done instead.
  public var description: String {
    switch self {
    case .gone(let pid): "process \(pid) has exited"
    case .traced(let pid, let tracer): "process \(pid) is traced by process \(tracer) (a debugger?)"
    case .followed(let pid): "process \(pid) is held by --follow"
    case .yama(let pid, let scope):
      "kernel.yama.ptrace_scope is \(scope), which does not let drip stop process \(pid) or read its memory"
    case .refused(let pid, let code):
      "the kernel does not let drip stop process \(pid) or read its memory (\(strerror(code).map { String(cString: $0) } ?? "errno \(code)")); a seccomp filter or missing rights (CAP_SYS_PTRACE) forbid it"
    }
  }

  /// What an errno of ptrace or process_vm_readv means here.
  static func explain(pid: Int32, code: Int32) -> StopRefusal {
    if code == ESRCH { return .gone(pid: pid) }
    if let tracer = ProcessFiles.tracer(of: pid), tracer != 0 {
      // The kernel names the thread.
      let process = ProcessFiles.leader(of: tracer) ?? tracer
      return process == getpid() ? .followed(pid: pid) : .traced(pid: pid, tracer: process)
    }
    if code == EPERM || code == EACCES, let scope = SystemFacts.read().ptraceScope,
      scope > (SystemFacts.read().has(.sysPtrace) ? 2 : 0)
    {
      return .yama(pid: pid, scope: scope)
    }
    return .refused(pid: pid, code: code)
  }
}

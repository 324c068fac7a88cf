public import Libbpf
public import Profile

/// Why a capture could not start. Each says what the user can do.
public enum CaptureError: Error, Sendable, CustomStringConvertible {
  /// The kernel refused the programs or the probes with every backend that was tried.
  case refused([(backend: Backend, error: LibbpfError)])
  /// The same for the kernel's own allocations.
  case kernelRefused([(backend: KernelBackend, error: LibbpfError)])
  /// As many processes are traced as there is room for.
  case tooManyProcesses(limit: Int)
  /// The kernel carries no type information, which the programs need to find their way in it.
  case noTypeInformation
  /// drip does not run as root and lacks the capabilities.
  case notPrivileged

  public var description: String {
    switch self {
    case .refused(let attempts):
      "the kernel refused drip's probes:\n"
        + attempts.map { "  \($0.backend.title): \($0.error)" }.joined(separator: "\n")
        + "\nrun `drip doctor` to see what works here"
    case .kernelRefused(let attempts):
      "this kernel does not let drip hear of its allocations:\n"
        + attempts.map { "  \($0.backend.title): \($0.error)" }.joined(separator: "\n")
        + "\nrun `drip doctor` to see what works here"
    case .tooManyProcesses(let limit):
      "\(limit) processes are traced already; raise --max-processes"
    case .noTypeInformation:
      "this kernel has no type information (/sys/kernel/btf/vmlinux is missing); drip needs one built with CONFIG_DEBUG_INFO_BTF=y, as all of Debian's are"
    case .notPrivileged:
      "drip must run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; try `sudo drip ...`"
    }
  }
}

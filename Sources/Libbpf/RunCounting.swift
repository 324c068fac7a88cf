import CLibbpfShims
import Glibc

/// As long as this is kept the kernel counts how often each BPF program of the machine runs, which costs two readings of
/// a clock a run.
public struct RunCounting: ~Copyable, Sendable {
  private let descriptor: CInt

  public init() throws(LibbpfError) {
    descriptor = try countOrErrno("bpf(BPF_ENABLE_STATS)", "run counts") { clibbpf_count_runs() }
  }

  deinit { close(descriptor) }
}

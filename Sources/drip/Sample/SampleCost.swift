import Glibc
import Processes

/// What drip itself uses.
struct SampleCost {
  /// CPU seconds since the process began, in user and kernel mode.
  static var cpuSeconds: Double {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Bytes of memory that are resident.
  static var resident: UInt64 { MemoryUse.read(pid: getpid())?.resident ?? 0 }
}

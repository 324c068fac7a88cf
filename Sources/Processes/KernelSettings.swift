/// Settings of the running kernel.
public enum KernelSettings {
  /// A number below /proc/sys, such as "kernel/perf_event_max_stack"; nil if there is none.
  public static func number(_ name: String) -> Int? { ProcFile.number("/proc/sys/" + name) }
}

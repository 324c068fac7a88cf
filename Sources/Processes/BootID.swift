extension SystemFacts {
  /// Tells this boot of the machine from all others: process numbers and ticks mean something within one only. Empty if
  /// the kernel does not say.
  public static func bootID() -> String {
    String(((try? ProcFile.text("/proc/sys/kernel/random/boot_id")) ?? "").prefix { $0 != "\n" })
  }
}

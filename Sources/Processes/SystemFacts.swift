import Glibc

/// What kind of system drip runs on, as far as it matters for tracing.
public struct SystemFacts: Sendable, Hashable {
  /// As `uname -r` prints it.
  public var kernelRelease: String
  public var effectiveUser: UInt32
  /// The CapEff mask of capabilities(7).
  public var capabilities: UInt64
  /// /sys/kernel/btf/vmlinux can be read.
  public var hasBTF: Bool
  /// The active lockdown mode ("none", "integrity", "confidentiality"), if the kernel says.
  public var lockdown: String?
  /// CPUs that may ever come up.
  public var possibleCPUs: Int

  /// Root, or CAP_BPF (39), CAP_PERFMON (38) and CAP_SYS_PTRACE (19), or CAP_SYS_ADMIN (21) for the first two.
  public var canTrace: Bool {
    func has(_ number: UInt64) -> Bool { capabilities >> number & 1 == 1 }
    return has(21) || has(39) && has(38) && has(19)
  }

  public static func read() -> SystemFacts {
    var name = utsname()
    uname(&name)
    let release = withUnsafeBytes(of: name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return SystemFacts(
      kernelRelease: release, effectiveUser: geteuid(), capabilities: readCapabilities(),
      hasBTF: access("/sys/kernel/btf/vmlinux", R_OK) == 0, lockdown: readLockdown(),
      possibleCPUs: max(Int(sysconf(Int32(_SC_NPROCESSORS_CONF))), 1))
  }

  private static func readCapabilities() -> UInt64 {
    guard let status = try? ProcFile.text("/proc/self/status"),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") })
    else { return 0 }
    return UInt64(line.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16) ?? 0
  }

  /// The file lists all modes with the active one in brackets.
  private static func readLockdown() -> String? {
    guard let text = try? ProcFile.text("/sys/kernel/security/lockdown"), let open = text.firstIndex(of: "["),
      let close = text.firstIndex(of: "]"), open < close
    else { return nil }
    return String(text[text.index(after: open)..<close])
  }
}

import Glibc

/// What kind of system drip runs on, as far as it matters for tracing.
public struct SystemFacts: Sendable, Hashable {
  /// The capabilities(7) that tracing needs, by number.
  public enum Capability: UInt64, Sendable, Hashable, CaseIterable {
    case sysPtrace = 19
    case sysAdmin = 21
    case perfmon = 38
    case bpf = 39
  }

  /// As `uname -r` prints it.
  public var kernelRelease: String
  /// The effective user id.
  public var effectiveUser: UInt32
  /// The CapEff mask of capabilities(7).
  public var capabilities: UInt64
  /// /sys/kernel/btf/vmlinux can be read.
  public var hasBTF: Bool
  /// The active lockdown mode ("none", "integrity", "confidentiality"), if the kernel says.
  public var lockdown: String?
  /// CPUs that may ever come up.
  public var possibleCPUs: Int
  /// Bytes of a page of memory.
  public var pageSize: Int
  /// kernel.perf_event_paranoid, if the kernel has it.
  public var perfEventParanoid: Int?
  /// kernel.kptr_restrict, if the kernel has it.
  public var kptrRestrict: Int?
  /// kernel.unprivileged_bpf_disabled, if the kernel has it.
  public var unprivilegedBPFDisabled: Int?
  /// kernel.yama.ptrace_scope, if the kernel has Yama.
  public var ptraceScope: Int?
  /// The perf event type of uprobes; nil where perf cannot make them.
  public var uprobeEventType: Int?

  /// Root, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE, or CAP_SYS_ADMIN, which stands for the first two.
  public var canTrace: Bool { has(.sysAdmin) || has(.bpf) && has(.perfmon) && has(.sysPtrace) }

  /// Whether the capability is in force.
  public func has(_ capability: Capability) -> Bool { capabilities >> capability.rawValue & 1 == 1 }

  /// Asks the kernel. What it does not tell is nil, or the cautious answer.
  public static func read() -> SystemFacts {
    var name = utsname()
    uname(&name)
    let release = withUnsafeBytes(of: name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let kernel = "/proc/sys/kernel/"
    return SystemFacts(
      kernelRelease: release, effectiveUser: geteuid(), capabilities: readCapabilities(),
      hasBTF: access("/sys/kernel/btf/vmlinux", R_OK) == 0,
      lockdown: (try? ProcFile.text("/sys/kernel/security/lockdown")).flatMap(activeChoice),
      possibleCPUs: readPossibleCPUs(), pageSize: max(Int(sysconf(Int32(_SC_PAGESIZE))), 1),
      perfEventParanoid: ProcFile.number(kernel + "perf_event_paranoid"),
      kptrRestrict: ProcFile.number(kernel + "kptr_restrict"),
      unprivilegedBPFDisabled: ProcFile.number(kernel + "unprivileged_bpf_disabled"),
      ptraceScope: ProcFile.number(kernel + "yama/ptrace_scope"),
      uprobeEventType: ProcFile.number("/sys/bus/event_source/devices/uprobe/type"))
  }

  private static func readCapabilities() -> UInt64 {
    guard let status = try? ProcFile.read("/proc/self/status", limit: 65_536),
      let mask = ProcFile.field("CapEff", in: status)
    else { return 0 }
    return UInt64(mask, radix: 16) ?? 0
  }

  /// Not sysconf, which counts the CPUs that are configured now: per-CPU maps have a slot for each possible one.
  private static func readPossibleCPUs() -> Int {
    let listed = (try? ProcFile.text("/sys/devices/system/cpu/possible")).flatMap(countOfList)
    return max(listed ?? Int(sysconf(Int32(_SC_NPROCESSORS_CONF))), 1)
  }

  /// How many CPUs a list like "0-3,8" names; nil if it is none.
  static func countOfList(_ text: String) -> Int? {
    var sum = 0
    for range in text.prefix(while: { $0 != "\n" }).split(separator: ",") {
      let ends = range.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0,
        first <= last, last < 1 << 20
      else { return nil }
      sum += last - first + 1
    }
    return sum > 0 ? sum : nil
  }

  /// The word in brackets of a file that lists all modes: "none [integrity] confidentiality".
  static func activeChoice(_ text: String) -> String? {
    guard let open = text.firstIndex(of: "["), let close = text[open...].firstIndex(of: "]") else {
      return nil
    }
    return String(text[text.index(after: open)..<close])
  }
}

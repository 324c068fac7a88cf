import CLibbpf
import CLibbpfShims

/// How a program will be attached; must be set before the object is loaded.
public enum ProgramAttachType: Sendable, Hashable {
  /// By a perf event, one link a site. Every kernel.
  case perfEvent
  /// By a uprobe_multi link (Linux 6.6).
  case uprobeMulti
  /// By a session link: one program at entry and at return (Linux 6.13).
  case uprobeSession

  var raw: bpf_attach_type? {
    switch self {
    case .perfEvent: nil
    case .uprobeMulti: bpf_attach_type(UInt32(CLIBBPF_TRACE_UPROBE_MULTI))
    case .uprobeSession: bpf_attach_type(UInt32(CLIBBPF_TRACE_UPROBE_SESSION))
    }
  }
}

/// A probe site in a file and what the program is told when it is hit.
public struct ProbeLocation: Sendable, Hashable {
  /// Offset of the instruction in the file.
  public var fileOffset: UInt64
  /// What `bpf_get_attach_cookie` returns there.
  public var cookie: UInt64
  /// Offset in the file of a USDT semaphore, which the kernel counts up while the probe is there; 0 for none.
  public var semaphoreOffset: UInt64

  public init(fileOffset: UInt64, cookie: UInt64, semaphoreOffset: UInt64 = 0) {
    self.fileOffset = fileOffset
    self.cookie = cookie
    self.semaphoreOffset = semaphoreOffset
  }
}

/// A program of an open object. Valid no longer than its object.
public struct BPFProgram: ~Copyable {
  let raw: OpaquePointer
  let name: String

  /// Whether `BPFObject.load` loads the program; true unless set.
  public func setAutoload(_ on: Bool) throws(LibbpfError) {
    let raw = raw
    try countOrErrno("bpf_program__set_autoload", name) { bpf_program__set_autoload(raw, on) }
  }

  public func setAttachType(_ type: ProgramAttachType) throws(LibbpfError) {
    guard let value = type.raw else { return }
    let raw = raw
    try countOrErrno("bpf_program__set_expected_attach_type", name) {
      bpf_program__set_expected_attach_type(raw, value)
    }
  }

  /// Attaches where the program's section says (`bpf_program__attach`).
  public func attach() throws(LibbpfError) -> BPFLink {
    let raw = raw
    return BPFLink(raw: try pointerOrErrno("bpf_program__attach", name) { bpf_program__attach(raw) })
  }

  var descriptor: CInt { bpf_program__fd(raw) }

  /// How often the kernel skipped the program because another was running on the same CPU.
  public func missedRuns() -> UInt64 {
    let misses = clibbpf_recursion_misses(descriptor)
    return misses > 0 ? UInt64(misses) : 0
  }

  /// How often the program has run while a `RunCounting` was there.
  public func countedRuns() -> UInt64 {
    let runs = clibbpf_runs(descriptor)
    return runs > 0 ? UInt64(runs) : 0
  }

  /// One link for all sites (BPF_LINK_CREATE with a uprobe_multi part). `pid` limits it to one process.
  public func attachMulti(
    path: String, locations: [ProbeLocation], type: ProgramAttachType, isReturn: Bool = false, pid: Int32
  ) throws(LibbpfError) -> BPFLink {
    let offsets = locations.map(\.fileOffset)
    let cookies = locations.map(\.cookie)
    let semaphores = locations.map(\.semaphoreOffset)
    let program = descriptor
    let attachType = type == .uprobeSession ? CLIBBPF_TRACE_UPROBE_SESSION : CLIBBPF_TRACE_UPROBE_MULTI
    let flags = isReturn ? UInt32(CLIBBPF_UPROBE_MULTI_RETURN) : 0
    return BPFLink(
      descriptor: try countOrErrno("bpf(BPF_LINK_CREATE, uprobe_multi)", "\(name) in \(path)") {
        clibbpf_link_create_uprobe_multi(
          program, CInt(attachType), path, offsets, cookies, semaphores, UInt32(offsets.count), flags, pid)
      })
  }

  /// A link through a perf event: one a site, there on every kernel.
  public func attachPerf(
    path: String, location: ProbeLocation, isReturn: Bool, pid: Int32
  ) throws(LibbpfError) -> BPFLink {
    let raw = raw
    var options = bpf_uprobe_opts()
    options.sz = MemoryLayout<bpf_uprobe_opts>.size
    options.retprobe = isReturn
    options.bpf_cookie = location.cookie
    options.ref_ctr_offset = Int(location.semaphoreOffset)
    return BPFLink(
      raw: try pointerOrErrno("bpf_program__attach_uprobe_opts", "\(name) in \(path)") {
        bpf_program__attach_uprobe_opts(raw, pid, path, Int(location.fileOffset), &options)
      })
  }
}

import CLibbpf

/// Attaching to functions of the kernel.
extension BPFProgram {
  /// Binds a fentry or fexit program to a function of the kernel; only before the load.
  public func setTarget(function: String) throws(LibbpfError) {
    let raw = raw
    try countOrErrno("bpf_program__set_attach_target", "\(name) to \(function)") {
      bpf_program__set_attach_target(raw, 0, function)
    }
  }

  /// Attaches a fentry or fexit program to the function that it is bound to. `cookie` is what
  /// `bpf_get_attach_cookie` returns (Linux 5.19 for these).
  public func attachTracing(cookie: UInt64) throws(LibbpfError) -> BPFLink {
    let raw = raw
    var options = bpf_trace_opts()
    options.sz = MemoryLayout<bpf_trace_opts>.size
    options.cookie = cookie
    return BPFLink(
      raw: try pointerOrErrno("bpf_program__attach_trace_opts", name) {
        bpf_program__attach_trace_opts(raw, &options)
      })
  }

  /// A kprobe at the entry of a function, or a kretprobe at its return.
  public func attachKernelProbe(
    function: String, cookie: UInt64, isReturn: Bool
  ) throws(LibbpfError) -> BPFLink {
    let raw = raw
    var options = bpf_kprobe_opts()
    options.sz = MemoryLayout<bpf_kprobe_opts>.size
    options.bpf_cookie = cookie
    options.retprobe = isReturn
    return BPFLink(
      raw: try pointerOrErrno("bpf_program__attach_kprobe_opts", "\(name) to \(function)") {
        bpf_program__attach_kprobe_opts(raw, function, &options)
      })
  }
}

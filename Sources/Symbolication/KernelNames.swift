import Processes
public import Profile

/// Names the stacks of a kernel capture. Stacks are named when they are first seen, so those of a module that is
/// unloaded later stay named; the kernel's symbols are read again when its modules have changed.
public struct KernelNames: Sendable {
  private var symbols: KernelSymbols
  private var modules: String
  private let readModules: @Sendable () -> String
  private let readSymbols: @Sendable () throws(KernelSymbols.Failure) -> KernelSymbols

  /// Reads the symbols of the running kernel.
  public init() throws(KernelSymbols.Failure) {
    try self.init(
      modules: { KernelModules.read() }, symbols: { () throws(KernelSymbols.Failure) in try KernelSymbols.read() })
  }

  /// `modules` is a text that changes when modules come or go.
  init(
    modules: @escaping @Sendable () -> String,
    symbols: @escaping @Sendable () throws(KernelSymbols.Failure) -> KernelSymbols
  ) throws(KernelSymbols.Failure) {
    readModules = modules
    readSymbols = symbols
    self.modules = modules()
    self.symbols = try symbols()
  }

  /// The code of these functions.
  public func ranges(of functions: [String]) -> [Range<UInt64>] { symbols.ranges(of: functions) }

  /// To be called before new stacks are named. Symbols that cannot be read again stay as they are.
  public mutating func refresh() {
    let now = readModules()
    guard now != modules else { return }
    modules = now
    if let new = try? readSymbols() { symbols = new }
  }

  /// The frames of a stack, innermost first, without those of BPF programs and of what runs them. Modules go by their
  /// names, the kernel itself by `KernelFrame.module`.
  public func frames(_ addresses: [UInt64]) -> [Frame] {
    let frames = addresses.enumerated().map { index, address -> Frame in
      // An address behind a call may be the next function's; the first one may be where a probe is.
      var name = symbols.name(at: address)
      if name?.offset == 0, index > 0, var before = symbols.name(at: address &- 1) {
        before.offset &+= 1
        name = before
      }
      guard let name else { return Frame(address: address, module: KernelFrame.module) }
      return Frame(
        address: address, function: name.function, module: name.module ?? KernelFrame.module, offset: name.offset)
    }
    return Array(frames.drop { $0.function.map(Self.isMachinery) ?? true })
  }

  /// BPF's own code has no name where the kernel does not tell of its programs, or one that begins so.
  private static func isMachinery(_ function: String) -> Bool {
    ["bpf_prog_", "bpf_trampoline_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_get_stack", "trace_call_bpf",
      "perf_trace_", "perf_call_bpf", "kprobe_", "kretprobe_", "ftrace_", "rethook_", "aggr_pre_handler", "opt_pre_handler",
      "arch_rethook", "trace_event_buffer", "optimized_callback",
    ].contains { function.hasPrefix($0) }
  }
}

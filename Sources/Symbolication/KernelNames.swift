import Processes
public import Profile

/// Names the stacks of a kernel capture. Stacks are named when they are first seen, so those of a module that is
/// unloaded later stay named; the kernel's symbols are read again when its modules have changed, and those of modules
/// that have gone are kept.
public struct KernelNames: Sendable {
  /// What has gone: its symbols, by the time when it went.
  private struct Departed: Sendable {
    var sizes: [String: UInt64]
    var symbols: KernelSymbols
  }

  private var symbols: KernelSymbols
  private var modules: String
  /// Bytes of each module.
  private var sizes: [String: UInt64]
  /// Read before the probes were there, whose code has names, too.
  private var isEarly = true
  private var departed: [Departed] = []
  private let readModules: @Sendable () -> String
  private let readSymbols: @Sendable () throws(KernelSymbols.Failure) -> KernelSymbols

  /// Times of modules' going that are remembered, each with the symbols of what went.
  private static let mostDeparted = 64
  /// No generated code is larger: what lies further behind its begin is something else.
  private static let largestGenerated: UInt64 = 1 << 16

  /// Reads the symbols of the running kernel.
  public init() throws(KernelSymbols.Failure) {
    try self.init(
      modules: { KernelModules.read() },
      symbols: { () throws(KernelSymbols.Failure) in try KernelSymbols.read() })
  }

  /// `modules` is a text that changes when modules come or go: their names, sizes and addresses.
  init(
    modules: @escaping @Sendable () -> String,
    symbols: @escaping @Sendable () throws(KernelSymbols.Failure) -> KernelSymbols
  ) throws(KernelSymbols.Failure) {
    readModules = modules
    readSymbols = symbols
    self.modules = modules()
    sizes = Self.sizes(self.modules)
    self.symbols = try symbols()
  }

  private static func sizes(_ modules: String) -> [String: UInt64] {
    var sizes: [String: UInt64] = [:]
    for line in modules.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 3, let size = UInt64(words[1]) { sizes[String(words[0])] = size }
    }
    return sizes
  }

  /// The code of these functions.
  public func ranges(of functions: [String]) -> [Range<UInt64>] { symbols.ranges(of: functions) }

  /// To be called before new stacks are named. Symbols that cannot be read again stay as they are.
  public mutating func refresh() {
    let now = readModules()
    guard now != modules || isEarly, let new = try? readSymbols() else { return }
    let left = Set(modules.split(separator: "\n")).subtracting(now.split(separator: "\n"))
    let gone = Set(left.compactMap { $0.split(separator: " ").first.map(String.init) })
    if !gone.isEmpty {
      departed.insert(
        Departed(sizes: sizes.filter { gone.contains($0.key) }, symbols: symbols.only(modules: gone)), at: 0)
      departed = Array(departed.prefix(Self.mostDeparted))
    }
    modules = now
    sizes = Self.sizes(now)
    symbols = new
    isEarly = false
  }

  /// The frames of a stack, innermost first, without those of BPF programs and of what runs them. Modules go by their
  /// names, the kernel itself by `KernelFrame.module`.
  public func frames(_ addresses: [UInt64]) -> [Frame] {
    let frames = addresses.enumerated().map { index, address -> Frame in
      // An address behind a call may be the next function's; the first one may be where a probe is.
      var name = name(at: address)
      if name?.offset == 0, index > 0, var before = self.name(at: address &- 1) {
        before.offset &+= 1
        name = before
      }
      guard let name else { return Frame(address: address, module: KernelFrame.module) }
      return Frame(
        address: address, function: name.function, module: name.module ?? KernelFrame.module,
        offset: name.offset)
    }
    return Array(frames.drop { $0.function.map(Self.isMachinery) ?? true })
  }

  /// Modules lie beside each other, come and go: the last function of one must not lend its name to what is behind it.
  private func name(at address: UInt64) -> KernelSymbols.Name? {
    let found = symbols.name(at: address).flatMap { Self.isWithin($0, sizes) ? $0 : nil }
    // Code that somebody has generated: of that too is only known where it begins.
    if let found, found.module == nil || sizes[found.module ?? ""] != nil { return found }
    for past in departed {
      if let name = past.symbols.name(at: address), Self.isWithin(name, past.sizes) { return name }
    }
    return found
  }

  private static func isWithin(_ name: KernelSymbols.Name, _ sizes: [String: UInt64]) -> Bool {
    guard let module = name.module else { return true }
    return name.offset < sizes[module] ?? largestGenerated
  }

  /// BPF's own code has no name where the kernel does not tell of its programs, or one that begins so.
  private static func isMachinery(_ function: String) -> Bool {
    [
      "bpf_prog_", "bpf_trampoline_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "bpf_get_stack",
      "trace_call_bpf",
      "perf_trace_", "perf_call_bpf", "kprobe_", "kretprobe_", "ftrace_", "rethook_", "aggr_pre_handler",
      "opt_pre_handler",
      "arch_rethook", "trace_kmalloc", "trace_kmem_cache_alloc", "trace_event_buffer", "optimized_callback",
    ].contains { function.hasPrefix($0) }
  }
}

public import ArgumentParser
public import Capture
import Processes
public import Profile

extension KernelCaptureOptions.Stacks: ExpressibleByArgument {}
extension KernelGrouping: ExpressibleByArgument {}

/// What to watch of the kernel: shared by the commands that capture.
struct KernelOptions: ParsableArguments {
  @Flag(
    help: "Watch the kernel's own allocations: of all processes, or, with -p, those made for that process.")
  var kernel = false

  @Option(
    help:
      "Whole stacks of kernel allocations: auto (of callers that grow), always, or never. With -p and --by process always, unless set."
  )
  var stacks: KernelCaptureOptions.Stacks?

  @Option(help: "Show kernel memory by stack, cache, module or process.")
  var by = KernelGrouping.stack

  @Option(
    help: "Show only kernel objects of this slab cache (* stands for anything); may be given more than once.")
  var cache: [String] = []

  @Option(help: "Show only kernel stacks that go through this module (* stands for anything).")
  var module: [String] = []

  @Flag(help: "Watch whole pages of the kernel, too. Slabs are made of pages: never add the two up.")
  var pages = false

  @Flag(help: "Watch the kernel's memory of each CPU, too.")
  var percpu = false

  /// Rules that concern both halves.
  func validate(with target: TargetOptions) throws {
    guard kernel else {
      guard !target.selection.isEmpty else {
        throw ValidationError("say what to watch: --pid, --comm, --cgroup, --container, or --kernel")
      }
      let extra = [
        ("--stacks", stacks != nil), ("--by", by != .stack), ("--cache", !cache.isEmpty),
        ("--module", !module.isEmpty),
        ("--pages", pages), ("--percpu", percpu),
      ]
      if let wrong = extra.first(where: \.1) { throw ValidationError("\(wrong.0) needs --kernel") }
      if target.backend.kernel != nil {
        throw ValidationError(
          "--backend \(target.backend.rawValue) is one for the kernel: add --kernel, or choose session, multi or perf"
        )
      }
      return
    }
    guard target.comm.isEmpty, target.cgroup.isEmpty, target.container.isEmpty else {
      throw ValidationError(
        "--kernel goes with -p, or with nothing: not with --comm, --cgroup or --container")
    }
    if target.selection.isEmpty {
      let wrong = [
        ("--follow", target.follow), ("--sample-bytes", target.sampleBytes != nil),
        ("--duty", target.duty != nil),
        ("--python", target.python), ("--check-stacks", target.checkStacks > 0),
        ("--allocator", !target.allocator.isEmpty), ("--domain", target.domain != .heap),
      ]
      if let wrong = wrong.first(where: \.1) {
        throw ValidationError("\(wrong.0) is for processes: add -p, or leave it out")
      }
      if target.backend.process != nil {
        throw ValidationError(
          "--backend \(target.backend.rawValue) is one for processes: choose rawtp, fentry, kprobe or tracepoint"
        )
      }
    }
  }

  /// Domains with sums of their own.
  var apart: [KernelDomain] { (pages ? [.pages] : []) + (percpu ? [.percpu] : []) }

  /// The options of the capture. `interrupts`: where the kernel serves them.
  func capture(_ target: TargetOptions, interrupts: [Range<UInt64>]) -> KernelCaptureOptions {
    KernelCaptureOptions(
      backend: target.backend.kernel,
      stacks: stacks ?? (target.pids.isEmpty && by != .process ? .auto : .always),
      pids: target.pids,
      domains: Set([.slab, .vmalloc] + apart), perProcess: by == .process,
      minSize: target.minSize?.bytes ?? 0,
      maxSize: target.maxSize?.bytes ?? .max, maxLive: target.maxLive, maxSites: target.maxSites,
      maxFrames: target.depth, interrupts: interrupts)
  }

  /// Whether a site is one of those that are to be shown.
  func wants(_ frames: [Frame], cache name: String?) -> Bool {
    func matches(_ text: String, _ patterns: [String]) -> Bool {
      patterns.contains { NamePattern.matches(text, $0) }
    }
    if !cache.isEmpty, !matches(name ?? "", cache) { return false }
    return module.isEmpty
      || frames.contains { frame in
        frame.module.map { $0 != KernelFrame.module && matches($0, module) } ?? false
      }
  }
}

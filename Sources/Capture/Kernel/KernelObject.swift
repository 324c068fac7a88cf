import CProbes
import Glibc
import Libbpf
import Probes
import Processes
import Profile

/// The loaded programs and maps of one kernel capture: the only owner of its BPF object.
struct KernelObject: ~Copyable {
  let object: BPFObject
  let layout: KernelLayout
  let live: MappedArray
  let sites: MappedArray
  let frames: MappedArray
  let origins: MappedArray
  let status: MappedArray
  let control: MappedArray
  private let hooks: KernelHooks

  /// Opens the embedded object, sets it up for these hooks and loads it.
  init(
    _ hooks: KernelHooks, options: KernelCaptureOptions, layout: KernelLayout, tracepoints: KernelTracepoints,
    epochNanoseconds: UInt64
  ) throws(LibbpfError) {
    let image = UnsafeRawBufferPointer(start: drip_kernel_object_pointer(), count: drip_kernel_object_size)
    let object = try BPFObject(image: image, name: "drip_kernel")
    try object.map("live").setMaxEntries(layout.buckets)
    try object.map("overflow").setMaxEntries(layout.overflow)
    try object.map("sites").setMaxEntries(layout.sites)
    try object.map("origins").setMaxEntries(layout.sites)
    try object.map("frames").setMaxEntries(layout.frameBlocks)
    try object.map("scratch").setMaxEntries(layout.scratch)

    let words: [(name: String, value: UInt32)] = [
      ("bucket_shift", UInt32(64 - layout.buckets.trailingZeroBitCount)),
      ("site_mask", UInt32(layout.sites - 1)),
      ("block_limit", UInt32(layout.frameBlocks)), ("kernel_frames", UInt32(Self.depth(options))),
      ("stacks_always", options.stacks == .always ? 1 : 0),
      ("stacks_never", options.stacks == .never ? 1 : 0),
      ("own_group", UInt32(getpid())), ("groups_on", options.pids.isEmpty ? 0 : 1),
      ("per_process", options.perProcess ? 1 : 0), ("kmem_layout", tracepoints.layout.rawValue),
      ("percpu_has_caller", tracepoints.percpuHasCaller ? 1 : 0),
    ]
    let longs: [(name: String, value: UInt64)] = [
      ("epoch_ns", epochNanoseconds), ("min_size", options.minSize), ("max_size", options.maxSize),
    ]
    for word in words {
      let offset = try object.constantOffset(of: word.name)
      try object.withConstants { $0.storeBytes(of: word.value, toByteOffset: offset, as: UInt32.self) }
    }
    for long in longs {
      let offset = try object.constantOffset(of: long.name)
      try object.withConstants { $0.storeBytes(of: long.value, toByteOffset: offset, as: UInt64.self) }
    }
    let ranges = try object.constantOffset(of: "interrupts")
    try object.withConstants { constants in
      for (index, range) in options.interrupts.prefix(Int(DRIP_KERNEL_INTERRUPTS)).enumerated() {
        constants.storeBytes(
          of: drip_kernel_range(begin: range.lowerBound, end: range.upperBound),
          toByteOffset: ranges + index * MemoryLayout<drip_kernel_range>.stride, as: drip_kernel_range.self)
      }
    }
    let wanted = hooks.allPrograms
    for name in object.programNames { try object.program(name).setAutoload(wanted.contains(name)) }
    for hook in hooks.functions where hook.method == .fentry {
      for name in hook.programs { try object.program(name).setTarget(function: hook.function.name) }
    }
    try object.load()
    for pid in options.pids { try object.map("groups").set(key: UInt32(pid), value: UInt32(1)) }

    // All or nothing: a struct that may not be copied cannot be half made.
    let live = try object.map("live").mapped(writable: true)
    let sites = try object.map("sites").mapped()
    let frames = try object.map("frames").mapped()
    let origins = try object.map("origins").mapped()
    let status = try object.map("status").mapped()
    let control = try object.map("control").mapped(writable: true)
    self.hooks = hooks
    self.layout = layout
    self.live = live
    self.sites = sites
    self.frames = frames
    self.origins = origins
    self.status = status
    self.control = control
    self.object = object
  }

  /// The kernel walks no deeper than its setting says.
  private static func depth(_ options: KernelCaptureOptions) -> Int {
    let wanted = min(max(options.maxFrames, 1), Int(DRIP_KERNEL_FRAMES))
    guard let most = KernelSettings.number("kernel/perf_event_max_stack"), most > 0 else { return wanted }
    return min(wanted, most)
  }

  /// Attaches everything, frees first. A function that cannot be probed after all is named and left out, unless all that
  /// the backend hears of goes with it.
  borrowing func attach(isStrict: Bool, _ refused: inout [KernelFunction]) throws(LibbpfError) -> Links {
    var links = Links()
    for free in [true, false] {
      for hook in hooks.functions where hook.function.isFree == free {
        do throws(LibbpfError) {
          links.add(try attach(hook))
        } catch {
          guard !isStrict || !Self.isMain(hook.function) else { throw error }
          refused.append(hook.function)
        }
      }
      // In the list frees stand first.
      if free { for name in hooks.programs { links.add(try object.program(name).attach()) } }
    }
    return links
  }

  /// Without these a backend of function probes hears of next to nothing.
  private static func isMain(_ function: KernelFunction) -> Bool {
    ["kfree", "kmem_cache_free"].contains(function.name)
      || function.name.hasPrefix("kmem_cache_alloc") && function.operation == .allocates
  }

  private borrowing func attach(_ hook: KernelHooks.Function) throws(LibbpfError) -> Links {
    var links = Links()
    let cookie = hook.function.cookie
    switch hook.method {
    case .fentry:
      for name in hook.programs { links.add(try object.program(name).attachTracing(cookie: cookie)) }
    case .kprobe:
      // Returns first: a call that is seen to be entered is then seen to return.
      for name in hook.programs.reversed() {
        links.add(
          try object.program(name).attachKernelProbe(
            function: hook.function.name, cookie: cookie, isReturn: name == "function_left"))
      }
    }
    return links
  }

  /// Nothing counts while it is off.
  borrowing func count(_ on: Bool) {
    control.withMutableElements(drip_kernel_control.self) { $0[0].on = on ? 1 : 0 }
  }

  /// Frees of objects that were not known: older ones, mostly.
  borrowing func unheardObjects() -> UInt64 {
    control.withElements(drip_kernel_control.self) { $0[0].unheard }
  }

  /// From now on the stacks of this caller are taken.
  borrowing func arm(_ caller: drip_kernel_caller, site: UInt32) throws(LibbpfError) {
    try object.map("callers").set(key: caller, value: drip_kernel_caller_state(site: site, armed: 1))
  }

  borrowing func forEachOverflow(_ body: (drip_object) -> Void) throws(LibbpfError) {
    try object.map("overflow").forEachEntry(keySize: MemoryLayout<UInt64>.size) { _, value in
      body(value.loadUnaligned(as: drip_object.self))
    }
  }

  /// Runs of programs that the kernel skipped, for another was running; of a free's two programs, those of the twin:
  /// what the first one misses, it hears.
  borrowing func missedRuns() -> UInt64 {
    let covered: Set<String> = ["raw_kfree_told", "raw_cache_free_told"]
    return hooks.allPrograms.subtracting(covered).reduce(0) { sum, name in
      guard let program = try? object.program(name) else { return sum }
      return sum + program.missedRuns()
    }
  }
}

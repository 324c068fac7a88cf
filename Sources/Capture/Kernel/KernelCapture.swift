import CProbes
public import Libbpf
import Probes
import Processes
public import Profile

/// A running capture of the kernel's allocations: owns every BPF handle, from attach to detach.
public actor KernelCapture {
  public nonisolated let coverage: KernelCoverage
  /// Kernel memory of the tables in bytes.
  public nonisolated let tableBytes: Int
  nonisolated let options: KernelCaptureOptions
  private let kernel: KernelObject
  private var links: Links
  private let startNanoseconds: UInt64
  private let epochNanoseconds: UInt64
  /// Frames of sites that were read; a site's frames never change.
  private var stacks: [UInt32: CallStack] = [:]
  private var armed: Set<UInt32> = []

  /// Loads the programs, attaches, and starts to count. Tries the backends in order; the first that works is taken.
  public init(options: KernelCaptureOptions, cpus: Int) throws(CaptureError) {
    let types: KernelTypes
    do { types = try KernelTypes() } catch { throw .noTypeInformation }
    let plan = KernelPlan(types)
    let tracepoints = KernelTracepoints(types)
    let methods = FunctionProbes.available()
    let layout = KernelLayout(options: options, cpus: cpus)
    var attempts: [(backend: KernelBackend, error: LibbpfError)] = []
    for backend in options.backend.map({ [$0] }) ?? KernelBackend.allCases {
      let hooks = KernelHooks(
        backend, plan: plan, methods: methods, isOld: tracepoints.isOld, domains: options.domains)
      do throws(LibbpfError) {
        if backend == .fentry || backend == .kprobe {
          try FunctionProbes.require(backend == .fentry ? .fentry : .kprobe)
        }
        let epoch = monotonicNanoseconds()
        let kernel = try KernelObject(
          hooks, options: options, layout: layout, tracepoints: tracepoints, epochNanoseconds: epoch)
        var refused: [KernelFunction] = []
        let links = try kernel.attach(isStrict: backend == .fentry || backend == .kprobe, &refused)
        coverage = KernelCoverage(
          backend: backend,
          hooks: hooks.titles(without: refused), unheardFrees: hooks.unheardFrees(with: refused))
        kernel.count(true)
        self.links = links
        self.kernel = kernel
        self.options = options
        tableBytes = layout.bytes
        epochNanoseconds = epoch
        startNanoseconds = monotonicNanoseconds()
        return
      } catch {
        attempts.append((backend, error))
      }
    }
    throw .kernelRefused(attempts)
  }

  /// Seconds since counting began.
  public var elapsedSeconds: Double { Double(monotonicNanoseconds() - startNanoseconds) / 1e9 }

  /// Takes stacks of the callers of these sites from now on, at new sites; sites that are no callers are passed over.
  public func arm(_ sites: some Sequence<UInt32>) throws(LibbpfError) {
    guard options.stacks == .auto else { return }
    for site in sites where !armed.contains(site) {
      guard let origin = rawOrigin(of: site), origin.caller_only != 0 else { continue }
      let key = drip_kernel_caller(
        address: origin.caller, cache: origin.cache != 0 ? origin.cache : UInt64(origin.domain))
      try kernel.arm(key, site: site)
      armed.insert(site)
    }
  }

  /// Stops counting, so that the last snapshot is consistent. The probes stay until `detach`.
  public func stop() { kernel.count(false) }

  /// Removes the probes. The tables stay readable.
  public func detach() {
    stop()
    links = Links()
  }

  /// Where a site's objects are from; nil for the one that takes what found no room.
  public func origin(of site: UInt32) -> KernelOrigin? {
    rawOrigin(of: site).map { KernelOrigin($0) }
  }

  private func rawOrigin(of site: UInt32) -> drip_kernel_origin? {
    guard site != DRIP_NO_SITE, Int(site) < kernel.layout.sites else { return nil }
    let origin = kernel.origins.withElements(drip_kernel_origin.self) { $0[Int(site)] }
    return origin.known == 2 ? origin : nil
  }

  /// The frames of a site, innermost first. The first ones may be those of BPF and of the tracing machinery.
  public func stack(of site: UInt32) -> CallStack {
    if let known = stacks[site] { return known }
    guard site != DRIP_NO_SITE, Int(site) < kernel.layout.sites else {
      return CallStack(addresses: [], end: .missing)
    }
    let stack = CallStack(
      kernel.sites.withElements(drip_site.self) { $0[Int(site)] }, frames: kernel.frames)
    if stack.end != .missing { stacks[site] = stack }
    return stack
  }

  /// Facts about this capture that a reader of its results should know.
  public var notes: [String] {
    let older = kernel.unheardObjects()
    return older > 0 ? ["\(older) frees were of objects older than the watch"] : []
  }

  /// The counters of every site, now. `olderThan` (seconds) limits the aged sums to objects that have lived at least so
  /// long; `cohorts` asks for outstanding objects by birth, of any age.
  public func snapshot(olderThan: Double = 0, cohorts: Bool = false) throws(LibbpfError) -> Snapshot {
    let now = monotonicNanoseconds()
    let shift = UInt64(DRIP_BIRTH_SHIFT)
    let nowUnits = (now - epochNanoseconds) >> shift
    let elapsed = Double(now - startNanoseconds) / 1e9
    let capacity = kernel.layout.sites
    let rows =
      cohorts
      ? CohortRows(
        siteCapacity: capacity, start: (startNanoseconds - epochNanoseconds) >> shift, elapsed: elapsed,
        sampling: .everything) : nil
    var scan = LiveTableScan(
      siteCapacity: capacity, latestBirth: LiveTableScan.latestBirth(nowUnits, olderThan: olderThan),
      cohorts: rows)
    scan.add(buckets: kernel.live)
    try kernel.forEachOverflow { scan.add(size: $0.size, site: Int($0.site), birth: $0.birth) }
    var sites: [SiteCounts] = []
    kernel.sites.withElements(drip_site.self) { slots in
      for index in 0..<capacity {
        let site = slots[index]
        // Slot 0 has no stack of its own: it takes what found no room.
        guard site.hash != 0 || site.allocs != 0 else { continue }
        sites.append(
          SiteCounts(
            id: UInt32(index), process: 0, allocs: site.allocs, frees: site.frees,
            allocatedBytes: site.allocated_bytes, freedBytes: site.freed_bytes, agedCount: scan.count[index],
            agedBytes: scan.bytes[index],
            oldestSeconds: scan.oldest(site: index).map { birth in
              Double((nowUnits >= UInt64(birth) ? nowUnits - UInt64(birth) : 0) << shift) / 1e9
            }, end: StackEnd(drip: site.end)))
      }
    }
    return Snapshot(
      elapsedSeconds: elapsed, sites: sites, losses: readLosses(),
      table: TableUse(
        live: scan.total, liveCapacity: UInt64(kernel.layout.maxLive), sites: UInt64(sites.count),
        siteCapacity: UInt64(capacity), bytes: UInt64(tableBytes)),
      cohorts: scan.cohorts?.cohorts)
  }

  private func readLosses() -> Losses {
    var losses = Losses(status: kernel.status)
    losses[.missedProbes] = kernel.missedRuns()
    return losses
  }
}

extension KernelOrigin {
  init(_ raw: drip_kernel_origin) {
    func text<Bytes>(_ bytes: Bytes) -> String {
      withUnsafeBytes(of: bytes) {
        String(decoding: $0.prefix { $0 != 0 }.map { $0 < 32 || $0 == 127 ? 63 : $0 }, as: UTF8.self)
      }
    }
    let cache = text(raw.cache_name)
    self.init(
      domain: KernelDomain(rawValue: UInt8(truncatingIfNeeded: raw.domain)) ?? .slab,
      cache: cache.isEmpty ? nil : cache, bucketBytes: raw.bucket_bytes, flags: raw.flags,
      pid: Int32(bitPattern: raw.pid),
      command: text(raw.command), cgroup: raw.cgroup, isCallerOnly: raw.caller_only != 0,
      isMixed: raw.mixed != 0)
  }
}

extension KernelCapture {
  /// The functions that the backends kprobe and fentry probe on this kernel.
  public static func plannedFunctions() throws(LibbpfError) -> Set<String> {
    let types = try KernelTypes()
    return Set(KernelPlan(types).functions.map(\.name))
  }
}

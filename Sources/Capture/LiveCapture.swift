import Binaries
import CProbes
import Glibc
public import Libbpf
public import Probes
public import Processes
public import Profile

/// A running capture of one process: owns every BPF handle, from attach to detach.
public actor LiveCapture {
  public nonisolated let backend: Backend
  /// Kernel memory of the tables in bytes.
  public nonisolated let tableBytes: Int
  private var kernel: KernelHalf
  private var unwind: UnwindMaintainer
  private let startNanoseconds: UInt64
  /// Frames of sites that were read; a site's frames never change.
  private var stacks: [UInt32: CallStack] = [:]
  private var isAttached = true

  /// Loads the programs, writes the unwind tables, attaches, and starts to count.
  public init(
    target: TargetProcess, plan: ProbePlan, options: CaptureOptions, cpus: Int
  ) throws(CaptureError) {
    let pid = target.identity.pid
    var unwind = UnwindMaintainer(pid: pid, isEnabled: options.usesUnwindTables)
    unwind.scan()
    let layout = TableLayout(
      options: options, cpus: cpus, unwindRows: unwind.estimatedRows, unwindPages: unwind.pageCount)
    kernel = try Self.start(plan: plan, pid: pid, options: options, layout: layout, unwind: &unwind)
    self.unwind = unwind
    backend = kernel.backend
    tableBytes = layout.bytes
    kernel.setEnabled(true)
    startNanoseconds = monotonicNanoseconds()
  }

  /// Tries the backends in order; the first that loads and attaches is taken.
  private static func start(
    plan: ProbePlan, pid: Int32, options: CaptureOptions, layout: TableLayout, unwind: inout UnwindMaintainer
  ) throws(CaptureError) -> KernelHalf {
    var attempts: [(backend: Backend, error: LibbpfError)] = []
    for backend in options.backend.map({ [$0] }) ?? Backend.allCases {
      do throws(LibbpfError) {
        var kernel = try KernelHalf(
          backend: backend, options: options, layout: layout, epochNanoseconds: monotonicNanoseconds())
        // Tables first: the first stack is then as whole as the last.
        unwind.install(into: kernel)
        try kernel.attach(plan, pid: pid)
        return kernel
      } catch {
        attempts.append((backend, error))
        unwind.forgetPlacements()
      }
    }
    throw .refused(attempts)
  }

  /// Seconds since counting began.
  public var elapsedSeconds: Double { Double(monotonicNanoseconds() - startNanoseconds) / 1e9 }

  /// Compiles the tables of large files that were left for later, and follows changed mappings. Cheap when
  /// there is nothing to do; meant to be called before each poll.
  public func maintain() { unwind.refresh(kernel: kernel) }

  /// Stops counting, so that the last snapshot is consistent. The probes stay until `detach`.
  public func stop() { kernel.setEnabled(false) }

  /// Removes the probes. The tables stay readable.
  public func detach() {
    guard isAttached else { return }
    isAttached = false
    kernel.setEnabled(false)
    kernel.detach()
  }

  /// The counters of every site, now. `olderThan` (seconds) limits the aged sums to objects that have lived
  /// at least so long.
  public func snapshot(olderThan: Double = 0) throws(LibbpfError) -> Snapshot {
    let now = monotonicNanoseconds()
    let shift = UInt64(DRIP_BIRTH_SHIFT)
    let nowUnits = (now - kernel.epochNanoseconds) >> shift
    let ageUnits = UInt64(max(olderThan, 0) * 1e9) >> shift
    let latest: UInt32
    if olderThan > 0 {
      latest = nowUnits >= ageUnits ? UInt32(truncatingIfNeeded: nowUnits - ageUnits) : 0
    } else {
      latest = .max
    }
    var scan = LiveTableScan(siteCapacity: kernel.layout.sites, latestBirth: latest)
    scan.add(buckets: kernel.live)
    try kernel.forEachOverflow { scan.add(size: $0.size, site: Int($0.site), birth: $0.birth) }

    var result: [SiteCounts] = []
    let capacity = kernel.layout.sites
    kernel.sites.withElements(drip_site.self) { sites in
      for index in 0..<capacity {
        let site = sites[index]
        // Slot 0 has no stack of its own: it takes what found no room.
        guard site.hash != 0 || site.allocs != 0 else { continue }
        let oldest = scan.oldest(site: index).map { birth in
          Double((nowUnits >= UInt64(birth) ? nowUnits - UInt64(birth) : 0) << shift) / 1e9
        }
        result.append(
          SiteCounts(
            id: UInt32(index), process: Int(site.process), allocs: site.allocs, frees: site.frees,
            allocatedBytes: site.allocated_bytes, freedBytes: site.freed_bytes, agedCount: scan.count[index],
            agedBytes: scan.bytes[index], oldestSeconds: oldest))
      }
    }
    let losses = readLosses()
    return Snapshot(
      elapsedSeconds: Double(now - startNanoseconds) / 1e9, sites: result, losses: losses,
      table: TableUse(
        live: scan.total, liveCapacity: UInt64(kernel.layout.maxLive), sites: UInt64(result.count),
        siteCapacity: UInt64(capacity), bytes: UInt64(tableBytes)))
  }

  /// The frames of a site.
  public func stack(of site: UInt32) -> CallStack {
    if let known = stacks[site] { return known }
    let stack = readStack(site)
    if stack.end != .missing { stacks[site] = stack }
    return stack
  }

  /// Facts about this capture that a reader of its results should know.
  public var notes: [String] { unwind.notes }

  private func readStack(_ id: UInt32) -> CallStack {
    let missing = CallStack(addresses: [], end: .missing)
    guard id != DRIP_NO_SITE, Int(id) < kernel.layout.sites else { return missing }
    let site = kernel.sites.withElements(drip_site.self) { $0[Int(id)] }
    let perBlock = Int(DRIP_BLOCK_FRAMES)
    let count = Int(site.frame_count)
    let first = Int(site.first_block)
    guard count > 0, first + (count + perBlock - 1) / perBlock <= kernel.frames.count else { return missing }
    let addresses = kernel.frames.withElements(drip_frame_block.self) { blocks in
      let words = UnsafeRawPointer(blocks + first).assumingMemoryBound(to: UInt64.self)
      return (0..<count).map { words[$0] }
    }
    let end: StackEnd =
      switch UInt32(truncatingIfNeeded: site.end) {
      case DRIP_END_COMPLETE.rawValue: .complete
      case DRIP_END_TRUNCATED.rawValue: .truncated
      case DRIP_END_UNREADABLE.rawValue: .unreadable
      case DRIP_END_BROKEN.rawValue: .broken
      default: .missing
      }
    return CallStack(addresses: addresses, end: end)
  }

  private func readLosses() -> Losses {
    var losses = Losses()
    kernel.status.withElements(drip_status.self) { status in
      let counters = UnsafeRawPointer(status).assumingMemoryBound(to: UInt64.self)
      for (kind, index) in Self.lossCounters { losses[kind] = counters[Int(index.rawValue)] }
    }
    losses[.missedProbes] = kernel.missedProbes()
    return losses
  }

  private static let lossCounters: [(LossKind, drip_loss)] = [
    (.tableFull, DRIP_LOSS_TABLE_FULL), (.inflightFull, DRIP_LOSS_INFLIGHT_FULL),
    (.lostReturns, DRIP_LOSS_LOST_RETURNS), (.unreadableResult, DRIP_LOSS_UNREADABLE_RESULT),
    (.staleAddresses, DRIP_LOSS_STALE_ADDRESSES), (.sitesFull, DRIP_LOSS_SITES_FULL),
    (.framesFull, DRIP_LOSS_FRAMES_FULL), (.scratchBusy, DRIP_LOSS_SCRATCH_BUSY),
    (.truncatedStacks, DRIP_LOSS_TRUNCATED_STACKS), (.unreadableStacks, DRIP_LOSS_UNREADABLE_STACKS),
    (.unmatchedFrees, DRIP_LOSS_UNMATCHED_FREES),
  ]
}

/// CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

import Binaries
import CProbes
public import Libbpf
public import Probes
public import Processes
public import Profile

/// A running capture of one or several processes: owns every BPF handle, from attach to detach.
public actor LiveCapture {
  /// What has happened to a traced process since the last look.
  public enum Change: Sendable, Hashable {
    case exited(Int)
    /// It runs another program. Its probes are gone and nothing of it is counted until it is added again.
    case execed(Int)
    /// It has mapped code of files that were not there before: allocators may be among them (see `extend`).
    case mapped(Int)
  }

  struct Traced {
    let process: TargetProcess
    var plan: ProbePlan
    let slot: Int
    var image: ProcessImage
    var probes: ProbeSet?
    var state = TracedProcess.State.running
    var forks: UInt64 = 0
    var regions = RegionMap()
    /// Functions that one trap a call has told about; kept when the probes go.
    var oneTrap: Set<String> = []
    /// Its rows are shown no more.
    var isPurged = false
  }

  public nonisolated let backend: Backend
  /// Kernel memory of the tables in bytes.
  public nonisolated let tableBytes: Int
  /// Frames kept of a stack.
  public nonisolated var depth: Int { options.maxFrames }
  nonisolated let options: CaptureOptions
  private(set) var kernel: KernelHalf
  var library: UnwindLibrary
  private(set) var traced: [Int: Traced] = [:]
  private var nextNumber = 0
  private var generation: UInt32 = 0
  private let startNanoseconds: UInt64
  /// Sites whose Python frames were told of.
  var toldPython: Set<UInt32> = []
  /// Frames of sites that were read; a site's frames never change.
  var stacks: [UInt32: CallStack] = [:]
  /// What the dynamic linkers have told and nobody has taken.
  var loadedModules: [LoadedModule] = []
  private var probeNotes: [String] = []
  private var isPaused = false
  private var windows: WindowClock
  /// Places whose last process's probes may still be there: they must not fire for another one.
  private var detaching: [Int: [Detaching]] = [:]

  /// Loads the programs, writes the unwind tables, attaches to the first process, and starts to count.
  public init(
    target: TargetProcess, plan: ProbePlan, options: CaptureOptions, cpus: Int
  ) throws(CaptureError) {
    let pid = target.identity.pid
    var library = UnwindLibrary(isEnabled: options.usesUnwindTables)
    var image = ProcessImage(pid: pid, slot: 0)
    image.scan(&library)
    let layout = TableLayout(
      options: options, cpus: cpus, unwindRows: library.estimatedRows, unwindPages: library.pageCount)

    let beginning = try Self.begin(plan, pid: pid, options: options, layout: layout, &library, &image)
    self.options = options
    self.library = library
    backend = beginning.kernel.backend
    tableBytes = layout.bytes
    startNanoseconds = monotonicNanoseconds()
    windows = WindowClock(start: startNanoseconds)
    windows.open(at: startNanoseconds)
    traced[0] = Traced(
      process: target, plan: plan, slot: 0, image: image, probes: beginning.probes,
      regions: RegionMap(programBreak: MemoryMap.programBreak(pid: pid)))
    generation = 1
    nextNumber = 1
    probeNotes = beginning.notes
    kernel = beginning.kernel
  }

  private struct Beginning: ~Copyable {
    let kernel: KernelHalf
    let probes: ProbeSet
    let notes: [String]
  }

  /// Tries the backends in order; the first that loads and attaches is taken.
  private static func begin(
    _ plan: ProbePlan, pid: Int32, options: CaptureOptions, layout: TableLayout,
    _ library: inout UnwindLibrary,
    _ image: inout ProcessImage
  ) throws(CaptureError) -> Beginning {
    var attempts: [(backend: Backend, error: LibbpfError)] = []
    for backend in options.backend.map({ [$0] }) ?? Backend.allCases {
      do throws(LibbpfError) {
        var kernel = try KernelHalf(
          backend: backend, options: options, layout: layout, epochNanoseconds: monotonicNanoseconds())
        // Tables first: the first stack is then as whole as the last.
        library.install(into: kernel, isBeforeAttach: true)
        image.write(library, kernel, generation: 1)
        kernel.followLinker(0, debug: library.linkerDebug(image.mappings) ?? 0)
        let probes = try ProbeSet(
          plan, process: 0, pid: pid, kernel: kernel, options: options)
        let refused = kernel.attachLifecycle()
        try start(kernel, slot: 0, pid: pid, oneTrap: probes.initial)
        return Beginning(
          kernel: kernel, probes: probes,
          notes: refused.isEmpty
            ? [] : ["the kernel refused to tell of fork, exec and exit (\(refused.joined(separator: ", ")))"])
      } catch {
        attempts.append((backend, error))
        library.forgetPlacements()
        image.forget()
      }
    }
    throw .refused(attempts)
  }

  /// From here on the process in a place is counted.
  private static func start(
    _ kernel: borrowing KernelHalf, slot: Int, pid: Int32, oneTrap: UInt32
  ) throws(LibbpfError) {
    kernel.change(slot) {
      $0 = drip_target(state: DRIP_STATE_OFF.rawValue, one_trap: oneTrap, forks: 0, execs: 0)
    }
    try kernel.track(pid: pid, slot: slot)
    kernel.change(slot) { $0.state = DRIP_STATE_ON.rawValue }
  }

  /// Traces one more process; returns its number.
  public func add(_ target: TargetProcess, plan: ProbePlan) throws(CaptureError) -> Int {
    let pid = target.identity.pid
    guard let number = freeNumber() else { throw .tooManyProcesses(limit: kernel.layout.processes) }
    let slot = number & (kernel.layout.processes - 1)
    follow(slot: slot, python: nil)
    var image = ProcessImage(pid: pid, slot: slot)
    image.scan(&library)
    library.install(into: kernel, isBeforeAttach: true)
    generation += 1
    image.write(library, kernel, generation: generation)
    do throws(LibbpfError) {
      kernel.followLinker(slot, debug: library.linkerDebug(image.mappings) ?? 0)
      let probes = try ProbeSet(
        plan, process: number, pid: pid, kernel: kernel, options: options)
      try Self.start(kernel, slot: slot, pid: pid, oneTrap: probes.initial)
      traced[number] = Traced(
        process: target, plan: plan, slot: slot, image: image, probes: probes,
        regions: RegionMap(programBreak: MemoryMap.programBreak(pid: pid)))
    } catch {
      throw .refused([(backend, error)])
    }
    nextNumber = max(nextNumber, number + 1)
    return number
  }

  /// Probes the allocators of a newer plan for a traced process that its own has not; those that it has stay as they
  /// are. Returns the files that came to it. What they had handed out before is not known.
  public func extend(_ number: Int, to newer: ProbePlan) throws(CaptureError) -> [ProbedFile] {
    guard let one = traced[number], one.state == .running, !one.isPurged, one.plan.usdt.isEmpty else {
      return []
    }
    let files = newer.additions(to: one.plan)
    guard !files.isEmpty else { return [] }
    traced[number]?.plan.files += files
    // Between two windows there are no probes: the next one places them all.
    guard options.domain.includesHeap, let probes = one.probes else { return files }
    do throws(LibbpfError) {
      try probes.add(files, kernel, options)
    } catch {
      throw .refused([(backend, error)])
    }
    kernel.change(one.slot) { $0.one_trap |= probes.initial }
    return files
  }

  /// A number whose place is free. Numbers are 16 bits of a key and are not used twice.
  private func freeNumber() -> Int? {
    detaching = detaching.filter { !$0.value.allSatisfy(\.isDone) }
    let taken = Set(traced.values.filter { $0.state == .running && !$0.isPurged }.map(\.slot)).union(
      detaching.keys)
    let capacity = kernel.layout.processes
    guard taken.count < capacity else { return nil }
    return (nextNumber..<min(nextNumber + capacity, 1 << 16)).first { !taken.contains($0 & (capacity - 1)) }
  }

  /// A process is there, runs the program that it ran when it was added, and its calls are counted at this moment.
  func isCounted(_ number: Int) -> Bool {
    guard let one = traced[number], one.state == .running, !one.isPurged, !one.process.hasExited else {
      return false
    }
    return kernel.target(one.slot).state == DRIP_STATE_ON.rawValue
  }

  /// Seconds since counting began.
  public var elapsedSeconds: Double { Double(monotonicNanoseconds() - startNanoseconds) / 1e9 }

  /// All processes of this capture, by number; those that have gone too.
  public var processes: [TracedProcess] {
    traced.sorted { $0.key < $1.key }.map { number, one in
      var target = one.process.identity
      target.state = one.state
      return TracedProcess(number: number, target: target, forks: one.forks)
    }
  }

  /// Some function is still on trial: a look soon is worth while.
  public var isOnTrial: Bool { traced.values.contains { $0.probes?.isOnTrial == true } }

  /// Names of the functions that one trap a call tells about, of one process.
  public func oneTrapFunctions(of number: Int) -> Set<String> { traced[number]?.oneTrap ?? [] }

  /// Compiles the tables of large files that were left for later, follows changed mappings, decides trials, and
  /// tells which processes have exited or run another program. Cheap when there is nothing to do; meant to be
  /// called before each poll.
  public func maintain() -> [Change] {
    var changes: [Change] = []
    // What is told from here on is another look's.
    readLinkers()
    let hadPending = library.hasPending
    if hadPending { library.install(into: kernel, isBeforeAttach: false) }
    for number in traced.keys.sorted() {
      guard let one = traced[number], one.state == .running, !one.isPurged else { continue }
      let target = kernel.target(one.slot)
      traced[number]?.forks = UInt64(target.forks)
      if one.process.hasExited {
        end(number, .exited)
        changes.append(.exited(number))
      } else if target.state == DRIP_STATE_EXECED.rawValue {
        end(number, .execed)
        changes.append(.execed(number))
      } else {
        let told = kernel.linkerChanges(one.slot)
        let hasChanged = traced[number]?.image.scan(&library) == true
        if hasChanged {
          library.install(into: kernel, isBeforeAttach: false)
          if traced[number]?.image.hasNewFiles == true { changes.append(.mapped(number)) }
        }
        if hasChanged || hadPending {
          generation += 1
          traced[number]?.image.write(library, kernel, generation: generation)
        }
        kernel.linkerIsKnown(one.slot, changes: told)
        one.probes?.advance(kernel)
        traced[number]?.oneTrap.formUnion(one.probes?.oneTrapFunctions ?? [])
      }
    }
    return changes
  }

  /// Replays what was told of mapped memory.
  private func readRegions() throws(LibbpfError) {
    guard options.domain.includesMappings else { return }
    try kernel.forEachRegionEvent { event in
      let number = Int(event.process)
      switch UInt32(event.op) {
      case DRIP_REGION_MAPPED.rawValue:
        traced[number]?.regions.map(event.address, event.length, site: event.site, birth: event.birth)
      case DRIP_REGION_GONE.rawValue:
        traced[number]?.regions.unmap(event.address, event.length, thread: event.thread)
      case DRIP_REGION_STAYED.rawValue: traced[number]?.regions.restore(thread: event.thread)
      case DRIP_REGION_BREAK.rawValue:
        traced[number]?.regions.setBreak(event.address, site: event.site, birth: event.birth)
      default: break
      }
    }
  }

  /// What the call stacks have mapped.
  private func mapped(_ nowUnits: UInt64) -> [SiteCounts] {
    let shift = UInt64(DRIP_BIRTH_SHIFT)
    return traced.sorted { $0.key < $1.key }.filter { !$0.value.isPurged }.flatMap { number, one in
      let outstanding = one.regions.outstanding()
      return one.regions.counts.sorted { $0.key < $1.key }.map { site, counts in
        let left = outstanding[site]
        return SiteCounts(
          id: site, process: number, allocs: counts.maps, frees: counts.unmaps,
          allocatedBytes: counts.mappedBytes, freedBytes: counts.unmappedBytes, agedCount: left?.pieces ?? 0,
          agedBytes: left?.bytes ?? 0,
          oldestSeconds: left.map { left in
            Double((nowUnits >= UInt64(left.oldest) ? nowUnits - UInt64(left.oldest) : 0) << shift) / 1e9
          })
      }
    }
  }

  /// Takes the probes off a process that is gone; its counters stay.
  private func end(_ number: Int, _ state: TracedProcess.State) {
    guard let one = traced[number], one.state == .running else { return }
    probeNotes += one.probes?.notes ?? []
    kernel.change(one.slot) { $0.state = DRIP_STATE_OFF.rawValue }
    // A failure to forget is harmless: the place says OFF.
    try? kernel.track(pid: one.process.identity.pid, slot: nil)
    // With few places the next process, which may be this one with another program, needs this very place at once.
    if kernel.layout.processes > 4 {
      detaching[one.slot] = one.probes?.detachLater()
    } else {
      one.probes?.waitForLeaving()
    }
    traced[number]?.probes = nil
    traced[number]?.state = state
  }

  /// Stops tracing a process, and forgets its objects: its rows are shown no more.
  public func purge(_ number: Int, _ state: TracedProcess.State) throws(LibbpfError) {
    guard let one = traced[number], !one.isPurged else { return }
    end(number, state)
    traced[number]?.isPurged = true
    try kernel.purge(process: number)
  }

  /// Takes the probes off all processes until `resume`: they run undisturbed, and nothing is seen.
  public func pause() {
    guard !isPaused else { return }
    isPaused = true
    for (number, one) in traced where one.probes != nil {
      kernel.change(one.slot) {
        $0.state = DRIP_STATE_OFF.rawValue
        $0.one_trap = 0
      }
      traced[number]?.probes = nil
    }
    windows.close(at: monotonicNanoseconds())
    // Calls under way will return unseen; their slots must not be taken for calls of the next window.
    kernel.inflight.withMutableBytes {
      _ = $0.initializeMemory(
        as: UInt8.self, repeating: 0, count: Int(DRIP_CALL_BUCKETS) * Int(DRIP_CALLS_BYTES))
    }
  }

  /// Puts the probes back after `pause`. A process that has gone meanwhile is told of by `maintain`.
  public func resume() throws(CaptureError) {
    guard isPaused else { return }
    isPaused = false
    for (number, one) in traced where one.state == .running && !one.isPurged {
      do throws(LibbpfError) {
        kernel.resumeLinker(one.slot)
        let probes = try ProbeSet(
          one.plan, process: number, pid: one.process.identity.pid, kernel: kernel,
          options: options)
        kernel.change(one.slot) { $0.one_trap = probes.initial }
        traced[number]?.probes = probes
      } catch {
        guard one.process.hasExited else { throw .refused([(backend, error)]) }
        traced[number]?.state = .exited
        continue
      }
      kernel.change(one.slot) { if $0.state == DRIP_STATE_OFF.rawValue { $0.state = DRIP_STATE_ON.rawValue } }
    }
    windows.open(at: monotonicNanoseconds())
  }

  /// Hits of the probes so far, as far as the kernel counted them: only while a `RunCounting` is kept. A call costs the
  /// target one or two.
  public var countedHits: UInt64 { kernel.countedHits() }

  /// Seconds in which probes have been in place.
  public var secondsInPlace: Double { Double(windows.onTime(at: monotonicNanoseconds())) / 1e9 }

  /// How long probes have been in place, if they were not all the time.
  public func windowStatement() -> [String] { windows.statement(at: monotonicNanoseconds()) }

  /// Stops counting, so that the last snapshot is consistent. The probes stay until `detach`.
  public func stop() {
    for one in traced.values where one.probes != nil {
      kernel.change(one.slot) { $0.state = DRIP_STATE_OFF.rawValue }
    }
  }

  /// Removes the probes. The tables stay readable.
  public func detach() {
    stop()
    for number in traced.keys {
      probeNotes += traced[number]?.probes?.notes ?? []
      traced[number]?.probes = nil
    }
    kernel.detachLifecycle()
  }

  /// The counters of every site, now. `olderThan` (seconds) limits the aged sums to objects that have lived
  /// at least so long; `cohorts` asks for outstanding objects by birth, of any age.
  public func snapshot(olderThan: Double = 0, cohorts: Bool = false) throws(LibbpfError) -> Snapshot {
    let now = monotonicNanoseconds()
    let shift = UInt64(DRIP_BIRTH_SHIFT)
    let nowUnits = (now - kernel.epochNanoseconds) >> shift
    let latest = LiveTableScan.latestBirth(nowUnits, olderThan: olderThan)
    let elapsed = Double(now - startNanoseconds) / 1e9
    let rows =
      cohorts
      ? CohortRows(
        siteCapacity: kernel.layout.sites, start: (startNanoseconds - kernel.epochNanoseconds) >> shift,
        elapsed: elapsed, sampling: options.sampling) : nil
    var scan = LiveTableScan(
      siteCapacity: kernel.layout.sites, latestBirth: latest, sampling: options.sampling, cohorts: rows)
    scan.add(buckets: kernel.live)
    try kernel.forEachOverflow { scan.add(size: $0.size, site: Int($0.site), birth: $0.birth) }

    var result: [SiteCounts] = []
    let purged = Set(traced.filter(\.value.isPurged).keys)
    let capacity = kernel.layout.sites
    kernel.sites.withElements(drip_site.self) { sites in
      for index in 0..<capacity {
        let site = sites[index]
        // Slot 0 has no stack of its own: it takes what found no room.
        guard site.hash != 0 || site.allocs != 0, !purged.contains(Int(site.process)) else { continue }
        let oldest = scan.oldest(site: index).map { birth in
          Double((nowUnits >= UInt64(birth) ? nowUnits - UInt64(birth) : 0) << shift) / 1e9
        }
        result.append(counts(UInt32(index), site, scan, oldest: oldest))
      }
    }
    let losses = readLosses()
    try readRegions()
    return Snapshot(
      elapsedSeconds: elapsed, sites: result, mapped: mapped(nowUnits),
      losses: losses,
      table: TableUse(
        live: scan.total, liveCapacity: UInt64(kernel.layout.maxLive), sites: UInt64(result.count),
        siteCapacity: UInt64(capacity), bytes: UInt64(tableBytes)),
      cohorts: scan.cohorts?.cohorts)
  }

  /// What a site's slot and its objects in the table say. Sampled counters are in small fractions of an object.
  private func counts(_ id: UInt32, _ site: drip_site, _ scan: LiveTableScan, oldest: Double?) -> SiteCounts {
    let unit = options.sampling.isOn ? ByteSampling.countUnit : 1
    var counts = SiteCounts(
      id: id, process: Int(site.process), allocs: (site.allocs + unit / 2) / unit,
      frees: (site.frees + unit / 2) / unit, allocatedBytes: site.allocated_bytes,
      freedBytes: site.freed_bytes,
      agedCount: scan.count[Int(id)], agedBytes: scan.bytes[Int(id)], oldestSeconds: oldest,
      end: StackEnd(drip: site.end), change: UInt32(site.end >> 32))
    if options.sampling.isOn {
      let estimate = scan.estimates[Int(id)]
      counts.agedCount = UInt64(estimate.objects.value.rounded())
      counts.agedBytes = UInt64(estimate.bytes.value.rounded())
      counts.sampled = SampledOutstanding(
        objects: estimate.kept, bytesError: estimate.bytes.standardError,
        countError: estimate.objects.standardError)
    }
    return counts
  }

  /// The frames of a site.
  public func stack(of site: UInt32) -> CallStack {
    if let known = stacks[site] { return known }
    let stack = readStack(site)
    if stack.end != .missing { stacks[site] = stack }
    return stack
  }

  /// What the unwind tables of its files take.
  public var unwindFigures: UnwindFigures { library.figures }

  /// Facts about this capture that a reader of its results should know.
  public var notes: [String] {
    let ordered = traced.sorted { $0.key < $1.key }.map(\.value)
    let beyond = ordered.filter { $0.image.beyond > 0 }.map {
      "pid \($0.process.identity.pid): \($0.image.beyond) executable mappings are beyond the \(DRIP_MAPPINGS) that "
        + "drip lists; the kernel is asked for each frame in them"
    }
    return library.notes + probeNotes + beyond + ordered.flatMap { $0.probes?.notes ?? [] }
  }

  private func readStack(_ id: UInt32) -> CallStack {
    guard id != DRIP_NO_SITE, Int(id) < kernel.layout.sites else {
      return CallStack(addresses: [], end: .missing)
    }
    let site = kernel.sites.withElements(drip_site.self) { $0[Int(id)] }
    return CallStack(site, frames: kernel.frames)
  }

  /// Stacks that are to be looked at a second time, those of the time since the last call; at most `limit`.
  public func takeStackSamples(limit: Int) throws(LibbpfError) -> [StackSample] {
    guard options.checkStacksEvery > 0 else { return [] }
    var taken: [(site: UInt32, sample: StackSample)] = []
    try kernel.forEachCheck(limit: limit) { if let one = StackSample.read($0) { taken.append(one) } }
    return taken.map { site, sample in
      var sample = sample
      sample.stored = stack(of: site).addresses
      return sample
    }
  }

  private func readLosses() -> Losses {
    var losses = Losses(status: kernel.status)
    losses[.missedProbes] = kernel.missedProbes()
    let trials = kernel.layout.processes * Int(DRIP_FUNCTIONS)
    losses[.oneTrapMismatches] = kernel.trials.withElements(drip_trial.self) { all in
      (0..<trials).reduce(0) { $0 + all[$1].disagreed }
    }
    return losses
  }
}

import CProbes
import Libbpf
import Probes
import Profile
import Synchronization

/// The loaded programs and maps of one capture: the only owner of its BPF object.
struct KernelHalf: ~Copyable {
  let object: BPFObject
  let backend: Backend
  let layout: TableLayout
  let epochNanoseconds: UInt64
  let live: MappedArray
  let sites: MappedArray
  let frames: MappedArray
  let status: MappedArray
  let targets: MappedArray
  let pythons: MappedArray
  let trials: MappedArray
  let inflight: MappedArray
  let processes: MappedArray
  let rules: MappedArray
  let pages: MappedArray
  let rows: MappedArray
  private let regionEvents: BPFRing
  private let checks: BPFRing
  let wakeups: BPFRing
  let linkers: MappedArray
  /// Follow fork, exec and exit of the traced processes; empty where the kernel refused.
  private var lifecycle = Links()

  /// Room for some 80,000 calls between two polls.
  private static let regionEventBytes = 4 << 20

  /// Opens the embedded object, sets it up for one backend and loads it.
  init(
    backend: Backend, options: CaptureOptions, layout: TableLayout, epochNanoseconds: UInt64
  ) throws(LibbpfError) {
    let image = UnsafeRawBufferPointer(start: drip_user_object_pointer(), count: drip_user_object_size)
    let object = try BPFObject(image: image, name: "drip_user")
    try Self.setSizes(object, layout)
    try Self.setConstants(object, options, layout, epochNanoseconds)

    let isSession = backend == .session
    try object.program("call").setAutoload(isSession)
    try object.program("call_enter").setAutoload(!isSession)
    try object.program("call_leave").setAutoload(!isSession)
    if isSession { try object.program("call").setAttachType(.uprobeSession) }
    let hasRegions = options.domain.includesMappings
    try object.program("region").setAutoload(isSession && hasRegions)
    try object.program("region_entered").setAutoload(!isSession && hasRegions)
    try object.program("region_left").setAutoload(!isSession && hasRegions)
    if isSession { try object.program("region").setAttachType(.uprobeSession) }
    try object.map("region_events").setMaxEntries(hasRegions ? Self.regionEventBytes : 4096)
    if backend != .perf {
      for name in [
        "region_entered", "region_left", "call_enter", "call_leave", "free_enter", "inside", "usdt_alloc",
        "usdt_free", "linker_changed",
      ] {
        try object.program(name).setAttachType(.uprobeMulti)
      }
    }
    try object.load()

    // All or nothing: a struct that may not be copied cannot be half made.
    let live = try object.map("live").mapped(writable: true)
    let sites = try object.map("sites").mapped()
    let frames = try object.map("frames").mapped()
    let status = try object.map("status").mapped()
    let targets = try object.map("targets").mapped(writable: true)
    let pythons = try object.map("pythons").mapped(writable: true)
    let trials = try object.map("trials").mapped(writable: true)
    let inflight = try object.map("inflight").mapped(writable: true)
    let processes = try object.map("processes").mapped(writable: true)
    let rules = try object.map("rules").mapped(writable: true)
    let pages = try object.map("pages").mapped(writable: true)
    let rows = try object.map("rows").mapped(writable: true)
    let regionEvents = try object.map("region_events").ring()
    let checks = try object.map("checks").ring()
    let wakeups = try object.map("wakeups").ring()
    let linkers = try object.map("linkers").mapped(writable: true)
    self.regionEvents = regionEvents
    self.checks = checks
    self.wakeups = wakeups
    self.linkers = linkers
    self.backend = backend
    self.layout = layout
    self.epochNanoseconds = epochNanoseconds
    self.object = object
    self.live = live
    self.sites = sites
    self.frames = frames
    self.status = status
    self.targets = targets
    self.pythons = pythons
    self.trials = trials
    self.inflight = inflight
    self.processes = processes
    self.rules = rules
    self.pages = pages
    self.rows = rows
  }

  private static func setSizes(_ object: borrowing BPFObject, _ layout: TableLayout) throws(LibbpfError) {
    try object.map("live").setMaxEntries(layout.buckets)
    try object.map("overflow").setMaxEntries(layout.overflow)
    try object.map("sites").setMaxEntries(layout.sites)
    try object.map("frames").setMaxEntries(layout.frameBlocks)
    try object.map("pages").setMaxEntries(layout.pages)
    try object.map("rows").setMaxEntries(layout.rowChunks)
    try object.map("checks").setMaxEntries(layout.checks)
    try object.map("scratch").setMaxEntries(layout.scratch)
    try object.map("targets").setMaxEntries(layout.processes)
    try object.map("pythons").setMaxEntries(layout.processes)
    try object.map("linkers").setMaxEntries(layout.processes)
    try object.map("wakeups").setMaxEntries(layout.linkerEvents)
    try object.map("tracked").setMaxEntries(layout.processes)
    try object.map("trials").setMaxEntries(layout.processes * Int(DRIP_FUNCTIONS))
    try object.map("processes").setMaxEntries(layout.processes * 2)
  }

  private static func setConstants(
    _ object: borrowing BPFObject, _ options: CaptureOptions, _ layout: TableLayout,
    _ epochNanoseconds: UInt64
  ) throws(LibbpfError) {
    let words: [(name: String, value: UInt32)] = [
      ("bucket_shift", UInt32(64 - layout.buckets.trailingZeroBitCount)),
      ("site_mask", UInt32(layout.sites - 1)),
      ("block_limit", UInt32(layout.frameBlocks)), ("max_frames", UInt32(options.maxFrames)),
      ("process_mask", UInt32(layout.processes - 1)), ("check_every", UInt32(options.checkStacksEvery)),
      ("python_on", options.walksPython ? 1 : 0),
    ]
    let longs: [(name: String, value: UInt64)] = [
      ("epoch_ns", epochNanoseconds), ("min_size", options.minSize), ("max_size", options.maxSize),
    ]
    for word in words {
      let offset = try object.constantOffset(of: word.name)
      try object.withConstants { $0.storeBytes(of: word.value, toByteOffset: offset, as: UInt32.self) }
    }
    if options.sampling.isOn {
      let switchOffset = try object.constantOffset(of: "sample_on")
      let tableOffset = try object.constantOffset(of: "sample_table")
      try object.withConstants { constants in
        constants.storeBytes(of: 1, toByteOffset: switchOffset, as: UInt32.self)
        for (index, entry) in options.sampling.table.enumerated() {
          constants.storeBytes(of: entry, toByteOffset: tableOffset + index * 8, as: UInt64.self)
        }
      }
    }
    for long in longs {
      let offset = try object.constantOffset(of: long.name)
      try object.withConstants { $0.storeBytes(of: long.value, toByteOffset: offset, as: UInt64.self) }
    }
  }

  /// Where a probe goes: a place in a file, in one process.
  struct Place {
    var path: String
    var pid: Int32
  }

  /// Attaches entries of functions that free.
  borrowing func attachFrees(_ locations: [ProbeLocation], _ place: Place) throws(LibbpfError) -> Links {
    try attach("free_enter", locations, place)
  }

  /// Attaches sites inside of functions.
  borrowing func attachInner(_ locations: [ProbeLocation], _ place: Place) throws(LibbpfError) -> Links {
    try attach("inside", locations, place)
  }

  /// Attaches entries and returns of functions that map memory.
  borrowing func attachRegions(_ locations: [ProbeLocation], _ place: Place) throws(LibbpfError) -> Links {
    if backend == .session { return try attach("region", locations, place, type: .uprobeSession) }
    var links = try attach("region_left", locations, place, isReturn: true)
    links.add(try attach("region_entered", locations, place))
    return links
  }

  /// What was told of mapped memory since the last call.
  borrowing func forEachRegionEvent(_ body: (drip_region_event) -> Void) throws(LibbpfError) {
    try regionEvents.consume { body($0.loadUnaligned(as: drip_region_event.self)) }
  }

  /// Stacks for the self-check since the last call, so many at most.
  borrowing func forEachCheck(limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws(LibbpfError) {
    try checks.consume(limit: limit, body)
  }

  /// Attaches the trace points of an allocator that samples by itself.
  borrowing func attachUSDT(alloc: [ProbeLocation], free: [ProbeLocation], _ place: Place) throws(LibbpfError)
    -> Links
  {
    var links = try attach("usdt_free", free, place)
    links.add(try attach("usdt_alloc", alloc, place))
    return links
  }

  /// Attaches entries and returns of functions that allocate.
  borrowing func attachCalls(_ locations: [ProbeLocation], _ place: Place) throws(LibbpfError) -> Links {
    if backend == .session { return try attach("call", locations, place, type: .uprobeSession) }
    // Returns first: a call that is seen to be entered is then seen to return.
    var links = try attach("call_leave", locations, place, isReturn: true)
    links.add(try attach("call_enter", locations, place))
    return links
  }

  borrowing func attach(
    _ program: String, _ locations: [ProbeLocation], _ place: Place, type: ProgramAttachType = .uprobeMulti,
    isReturn: Bool = false
  ) throws(LibbpfError) -> Links {
    var links = Links()
    guard !locations.isEmpty else { return links }
    if backend != .perf {
      links.add(
        try object.program(program).attachMulti(
          path: place.path, locations: locations, type: type, isReturn: isReturn, pid: place.pid))
      return links
    }
    for location in locations {
      links.add(
        try object.program(program).attachPerf(
          path: place.path, location: location, isReturn: isReturn, pid: place.pid))
    }
    return links
  }

  /// Follows fork, exec and exit from now on. What the kernel refuses goes unseen, and is named.
  mutating func attachLifecycle() -> [String] {
    var refused: [String] = []
    for name in ["forked", "execed", "exited"] {
      do throws(LibbpfError) {
        lifecycle.add(try object.program(name).attach())
      } catch {
        refused.append(name)
      }
    }
    return refused
  }

  mutating func detachLifecycle() { lifecycle = Links() }

  /// Tells the kernel half that a thread group is the process in a place of `targets`; nil: no more.
  borrowing func track(pid: Int32, slot: Int?) throws(LibbpfError) {
    let map = try object.map("tracked")
    if let slot { try map.set(key: UInt32(pid), value: UInt32(slot)) } else { map.remove(key: UInt32(pid)) }
  }

  /// The state of the process in a place of `targets`.
  borrowing func target(_ slot: Int) -> drip_target {
    targets.withElements(drip_target.self) { $0[slot] }
  }

  borrowing func change(_ slot: Int, _ body: (inout drip_target) -> Void) {
    targets.withMutableElements(drip_target.self) { body(&$0[slot]) }
  }

  /// Takes the objects of one process out of the live table: it is gone, and they with it.
  borrowing func purge(process: Int) throws(LibbpfError) {
    let ways = Int(DRIP_WAYS)
    let count = live.count
    live.withMutableBytes { start in
      for index in 0..<count {
        let keys = (start + index &* 128).assumingMemoryBound(to: UInt64.self)
        // Nobody else changes a slot that is taken by a process that runs no more.
        for way in 0..<ways where keys[way] != 0 && Int(keys[way] >> 48) == process { keys[way] = 0 }
      }
    }
    let map = try object.map("overflow")
    var keys: [UInt64] = []
    try map.forEachEntry(keySize: MemoryLayout<UInt64>.size) { key, _ in
      let key = key.loadUnaligned(as: UInt64.self)
      if Int(key >> 48) == process { keys.append(key) }
    }
    for key in keys { map.remove(key: key) }
  }

  /// Visits what overflowed the live table's buckets.
  borrowing func forEachOverflow(_ body: (drip_object) -> Void) throws(LibbpfError) {
    try forEachOverflow { _, object in body(object) }
  }

  /// The same with the keys, as in drip_bucket.
  borrowing func forEachOverflow(_ body: (UInt64, drip_object) -> Void) throws(LibbpfError) {
    try object.map("overflow").forEachEntry(keySize: MemoryLayout<UInt64>.size) { key, value in
      body(key.loadUnaligned(as: UInt64.self), value.loadUnaligned(as: drip_object.self))
    }
  }

  /// Probe hits that the kernel skipped.
  borrowing func missedProbes() -> UInt64 { sumOfPrograms { $0.missedRuns() } }

  /// Probe hits that ran a program while the kernel counted runs (`RunCounting`).
  borrowing func countedHits() -> UInt64 { sumOfPrograms { $0.countedRuns() } }

  /// Over the programs that probes on allocators run.
  private borrowing func sumOfPrograms(_ value: (borrowing BPFProgram) -> UInt64) -> UInt64 {
    let names =
      (backend == .session ? ["call"] : ["call_enter", "call_leave"]) + [
        "free_enter", "inside", "usdt_alloc", "usdt_free",
      ]
    var sum: UInt64 = 0
    for name in names {
      guard let program = try? object.program(name) else { continue }
      sum += value(program)
    }
    return sum
  }
}

/// The attachments of a capture. Dropping it detaches.
struct Links: ~Copyable, Sendable {
  /// A link may not be copied, so an array cannot hold it bare.
  private final class Box: Sendable {
    let link: BPFLink
    init(_ link: consuming BPFLink) { self.link = link }
  }
  private var boxes: [Box] = []

  mutating func add(_ link: consuming BPFLink) { boxes.append(Box(link)) }

  mutating func add(_ others: consuming Links) { boxes += others.boxes }

  /// Detaches on another thread: the kernel waits for grace periods, some 30 ms a link, and nobody else need.
  consuming func detachLater() -> Detaching {
    let detaching = Detaching()
    let held = Mutex(boxes)
    boxes = []
    Task.detached(priority: .utility) {
      held.withLock { $0 = [] }
      detaching.finish()
    }
    return detaching
  }
}

/// Probes that are being taken off on another thread.
final class Detaching: Sendable {
  private let state = Atomic(false)

  var isDone: Bool { state.load(ordering: .acquiring) }

  fileprivate func finish() { state.store(true, ordering: .releasing) }
}

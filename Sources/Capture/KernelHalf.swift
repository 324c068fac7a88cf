import CProbes
import Libbpf
import Probes
import Profile

/// The loaded programs and maps of one capture: the only owner of its BPF handles.
struct KernelHalf: ~Copyable {
  private let object: BPFObject
  let backend: Backend
  let layout: TableLayout
  let epochNanoseconds: UInt64
  let live: MappedArray
  let sites: MappedArray
  let frames: MappedArray
  let status: MappedArray
  let processes: MappedArray
  let rules: MappedArray
  let pages: MappedArray
  let rows: MappedArray
  private var links = Links()

  /// Opens the embedded object, sets it up for one backend and loads it.
  init(
    backend: Backend, options: CaptureOptions, layout: TableLayout, epochNanoseconds: UInt64
  ) throws(LibbpfError) {
    let image = UnsafeRawBufferPointer(start: drip_user_object_pointer(), count: drip_user_object_size)
    let object = try BPFObject(image: image, name: "drip_user")

    try object.map("live").setMaxEntries(layout.buckets)
    try object.map("overflow").setMaxEntries(layout.overflow)
    try object.map("sites").setMaxEntries(layout.sites)
    try object.map("frames").setMaxEntries(layout.frameBlocks)
    try object.map("pages").setMaxEntries(layout.pages)
    try object.map("rows").setMaxEntries(layout.rowChunks)
    try object.map("scratch").setMaxEntries(layout.scratch)

    let bucketMask = try object.constantOffset(of: "bucket_mask")
    let siteMask = try object.constantOffset(of: "site_mask")
    let blockLimit = try object.constantOffset(of: "block_limit")
    let maxFrames = try object.constantOffset(of: "max_frames")
    let epoch = try object.constantOffset(of: "epoch_ns")
    let minSize = try object.constantOffset(of: "min_size")
    let maxSize = try object.constantOffset(of: "max_size")
    try object.withConstants { constants in
      constants.storeBytes(of: UInt32(layout.buckets - 1), toByteOffset: bucketMask, as: UInt32.self)
      constants.storeBytes(of: UInt32(layout.sites - 1), toByteOffset: siteMask, as: UInt32.self)
      constants.storeBytes(of: UInt32(layout.frameBlocks), toByteOffset: blockLimit, as: UInt32.self)
      constants.storeBytes(of: UInt32(options.maxFrames), toByteOffset: maxFrames, as: UInt32.self)
      constants.storeBytes(of: epochNanoseconds, toByteOffset: epoch, as: UInt64.self)
      constants.storeBytes(of: options.minSize, toByteOffset: minSize, as: UInt64.self)
      constants.storeBytes(of: options.maxSize, toByteOffset: maxSize, as: UInt64.self)
    }

    let isSession = backend == .session
    try object.program("call").setAutoload(isSession)
    try object.program("call_enter").setAutoload(!isSession)
    try object.program("call_leave").setAutoload(!isSession)
    if isSession { try object.program("call").setAttachType(.uprobeSession) }
    if backend != .perf {
      try object.program("call_enter").setAttachType(.uprobeMulti)
      try object.program("call_leave").setAttachType(.uprobeMulti)
      try object.program("free_enter").setAttachType(.uprobeMulti)
    }
    try object.load()

    // All or nothing: a struct that may not be copied cannot be half made.
    let live = try object.map("live").mapped()
    let sites = try object.map("sites").mapped()
    let frames = try object.map("frames").mapped()
    let status = try object.map("status").mapped(writable: true)
    let processes = try object.map("processes").mapped(writable: true)
    let rules = try object.map("rules").mapped(writable: true)
    let pages = try object.map("pages").mapped(writable: true)
    let rows = try object.map("rows").mapped(writable: true)
    self.backend = backend
    self.layout = layout
    self.epochNanoseconds = epochNanoseconds
    self.object = object
    self.live = live
    self.sites = sites
    self.frames = frames
    self.status = status
    self.processes = processes
    self.rules = rules
    self.pages = pages
    self.rows = rows
  }

  /// Attaches every site of the plan to one process. Frees come first; nothing counts before `enable`.
  mutating func attach(_ plan: ProbePlan, pid: Int32) throws(LibbpfError) {
    for file in plan.files { try attach(file, pid: pid) }
  }

  private mutating func attach(_ file: ProbedFile, pid: Int32) throws(LibbpfError) {
    let frees = file.sites.filter { $0.call == .free }.map { $0.location(process: 0) }
    let calls = file.sites.filter { $0.call != .free }.map { $0.location(process: 0) }
    switch backend {
    case .session:
      links.add(try attachMulti("free_enter", file.path, frees, .uprobeMulti, pid))
      links.add(try attachMulti("call", file.path, calls, .uprobeSession, pid))
    case .multi:
      links.add(try attachMulti("free_enter", file.path, frees, .uprobeMulti, pid))
      links.add(try attachMulti("call_leave", file.path, calls, .uprobeMulti, pid, isReturn: true))
      links.add(try attachMulti("call_enter", file.path, calls, .uprobeMulti, pid))
    case .perf:
      for location in frees {
        links.add(try attachPerf("free_enter", file.path, location, pid, isReturn: false))
      }
      for location in calls {
        links.add(try attachPerf("call_leave", file.path, location, pid, isReturn: true))
        links.add(try attachPerf("call_enter", file.path, location, pid, isReturn: false))
      }
    }
  }

  /// Removes every probe; the maps stay readable.
  mutating func detach() { links = Links() }

  private borrowing func attachMulti(
    _ program: String, _ path: String, _ locations: [ProbeLocation], _ type: ProgramAttachType, _ pid: Int32,
    isReturn: Bool = false
  ) throws(LibbpfError) -> BPFLink {
    try object.program(program).attachMulti(
      path: path, locations: locations, type: type, isReturn: isReturn, pid: pid)
  }

  private borrowing func attachPerf(
    _ program: String, _ path: String, _ location: ProbeLocation, _ pid: Int32, isReturn: Bool
  ) throws(LibbpfError) -> BPFLink {
    try object.program(program).attachPerf(path: path, location: location, isReturn: isReturn, pid: pid)
  }

  /// Starts or stops counting, in one store that every CPU sees.
  borrowing func setEnabled(_ on: Bool) {
    status.withMutableElements(drip_status.self) { $0.pointee.enabled = on ? 1 : 0 }
  }

  /// Visits what overflowed the live table's buckets.
  borrowing func forEachOverflow(_ body: (drip_object) -> Void) throws(LibbpfError) {
    try object.map("overflow").forEachEntry(keySize: MemoryLayout<UInt64>.size) { _, value in
      body(value.loadUnaligned(as: drip_object.self))
    }
  }

  /// Probe hits that the kernel skipped.
  borrowing func missedProbes() -> UInt64 {
    let names = backend == .session ? ["call", "free_enter"] : ["call_enter", "call_leave", "free_enter"]
    var sum: UInt64 = 0
    for name in names {
      guard let program = try? object.program(name) else { continue }
      sum += program.missedRuns()
    }
    return sum
  }
}

/// The attachments of a capture. Dropping it detaches.
struct Links: ~Copyable {
  /// A link may not be copied, so an array cannot hold it bare.
  private final class Box {
    let link: BPFLink
    init(_ link: consuming BPFLink) { self.link = link }
  }
  private var boxes: [Box] = []

  mutating func add(_ link: consuming BPFLink) { boxes.append(Box(link)) }
}

extension ProbeSite {
  /// The cookie tells the program what was called and in which process.
  fileprivate func location(process: UInt64) -> ProbeLocation {
    ProbeLocation(fileOffset: fileOffset, cookie: UInt64(call.rawValue) | process << 8)
  }
}

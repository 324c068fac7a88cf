/// How drip hears of the kernel's allocations. Chosen by trying, best first, never by version.
public enum KernelBackend: String, Sendable, Hashable, CaseIterable {
  /// Raw tracepoints: every allocation site, the cheapest, and the fewest events lost; twin programs hear of each free.
  /// Frees that have no tracepoint are heard of by function probes where the kernel allows those.
  case rawtp
  /// fentry and fexit of the functions that allocate and free.
  case fentry
  /// kprobe and kretprobe of the same functions.
  case kprobe
  /// Classic tracepoints, through perf events.
  case tracepoint

  /// As shown in reports.
  public var title: String {
    switch self {
    case .rawtp: "raw tracepoints"
    case .fentry: "fentry and fexit"
    case .kprobe: "kprobes"
    case .tracepoint: "tracepoints"
    }
  }
}

/// Which of the kernel's allocators an object is from. Never added up: a slab's memory is pages, too. The raw values are
/// those of `enum drip_kernel_domain`.
public enum KernelDomain: UInt8, Sendable, Hashable, CaseIterable {
  /// kmalloc and the slab caches.
  case slab = 0
  case vmalloc = 1
  /// Whole pages, opt-in.
  case pages = 2
  /// Memory of each CPU, opt-in; sizes are those of one CPU's copy.
  case percpu = 3

  /// Whether it has sums of its own: what slabs and areas are made of would count twice.
  public var isApart: Bool { self == .pages || self == .percpu }

  /// As shown in reports and in JSON.
  public var name: String {
    switch self {
    case .slab: "slab"
    case .vmalloc: "vmalloc"
    case .pages: "pages"
    case .percpu: "percpu"
    }
  }
}

/// Where the objects of one kernel site come from, besides their stack; as it was at the site's first allocation.
public struct KernelOrigin: Sendable, Hashable {
  public var domain: KernelDomain
  /// The slab cache; nil where the hook does not tell (kmalloc): see `bucketBytes`.
  public var cache: String?
  /// Bytes that the allocator took for the first object, requested ones and padding; 0 where the hook does not tell.
  public var bucketBytes: UInt32
  /// The allocation's flags (gfp_t) of the first object.
  public var flags: UInt32
  /// The process that allocated, the first one of several; 0 in an interrupt.
  public var pid: Int32
  /// Its command name, at most 15 bytes.
  public var command: String
  /// Its cgroup's number (the inode of its directory in cgroup v2); 0 without cgroups.
  public var cgroup: UInt64
  /// No stack was taken: the one frame is the address that called the allocator, of whatever process.
  public var isCallerOnly: Bool
  /// Other processes have allocated here, too. Not known of a site that is a caller only: it may be anybody's.
  public var isMixed: Bool

  public init(
    domain: KernelDomain, cache: String? = nil, bucketBytes: UInt32 = 0, flags: UInt32 = 0, pid: Int32 = 0,
    command: String = "", cgroup: UInt64 = 0, isCallerOnly: Bool = false, isMixed: Bool = false
  ) {
    self.isMixed = isMixed
    self.domain = domain
    self.cache = cache
    self.bucketBytes = bucketBytes
    self.flags = flags
    self.pid = pid
    self.command = command
    self.cgroup = cgroup
    self.isCallerOnly = isCallerOnly
  }
}

/// What a kernel capture can hear of, and what it cannot.
public struct KernelCoverage: Sendable, Hashable {
  public var backend: KernelBackend
  /// Tracepoints and functions that are heard, by name.
  public var hooks: [String]
  /// Frees that nothing tells of on this kernel, in plain words, each with the function that does them:
  /// objects freed so look as if they were still there. Empty if all are heard.
  public var unheardFrees: [String]

  public init(backend: KernelBackend, hooks: [String] = [], unheardFrees: [String] = []) {
    self.backend = backend
    self.hooks = hooks
    self.unheardFrees = unheardFrees
  }
}

import CProbes
import Libbpf
import Probes
import Profile

/// Which programs a backend of the kernel capture needs, and what each is attached to.
struct KernelHooks: Sendable, Hashable {
  /// A function and the kind of probe for it.
  struct Function: Sendable, Hashable {
    enum Method: Sendable, Hashable { case fentry, kprobe }
    var function: KernelFunction
    var method: Method
    /// The number of its own program, where it needs one.
    var slot = 0

    var programs: [String] {
      switch method {
      case .fentry: [(function.isFree ? "traced_frees_" : "traced_left_") + "\(slot)"]
      case .kprobe: function.isFree ? ["function_frees"] : ["function_entered", "function_left"]
      }
    }
  }

  /// Programs whose section says where they go. Frees stand first: they are to be heard of before anything is born.
  var programs: [String] = []
  var functions: [Function] = []
  /// What nothing tells of, by the function that does it.
  var unheard: [KernelFunction] = []

  var allPrograms: Set<String> { Set(programs).union(functions.flatMap(\.programs)) }

  /// What a backend can do with these functions. `methods`: the kinds of function probes that this kernel allows.
  init(
    _ backend: KernelBackend, plan: KernelPlan, methods: Set<Function.Method>, isOld: Bool,
    domains: Set<KernelDomain>
  ) {
    let isPlain = domains.contains(.slab)
    var wanted: [KernelFunction] = []
    switch backend {
    case .rawtp:
      if isPlain {
        programs += [
          "raw_kfree_told", "raw_cache_free_told", "raw_kfree_twin", "raw_cache_free_twin",
          "raw_kmalloc_told",
          "raw_cache_alloc_told",
        ]
        if isOld { programs += ["raw_kmalloc_node_told", "raw_cache_alloc_node_told"] }
      }
      wanted = plan.untold
    case .tracepoint:
      if isPlain {
        programs += ["event_kfree", "event_cache_free"]
        programs +=
          isOld
          ? [
            "old_event_kmalloc", "old_event_kmalloc_node", "old_event_cache_alloc",
            "old_event_cache_alloc_node",
          ]
          : ["event_kmalloc", "event_cache_alloc"]
      }
      wanted = plan.untold
    case .fentry, .kprobe: wanted = plan.functions
    }
    if domains.contains(.pages) { programs += ["raw_pages_freed", "raw_pages_told"] }
    if domains.contains(.percpu) { programs += ["raw_percpu_freed", "raw_percpu_told"] }
    add(wanted.filter { domains.contains($0.domain) }, backend, methods)
  }

  private mutating func add(
    _ wanted: [KernelFunction], _ backend: KernelBackend, _ methods: Set<Function.Method>
  ) {
    var slots = [true: 0, false: 0]
    let room = [true: Int(DRIP_KERNEL_FREE_SLOTS), false: Int(DRIP_KERNEL_ALLOC_SLOTS)]
    // Frees first, here too.
    for function in wanted.filter(\.isFree) + wanted.filter({ !$0.isFree }) {
      let slot = slots[function.isFree] ?? 0
      // Kernels to 6.5 or so take programs of this kind for functions of up to six arguments only.
      let canTrace = function.parameters <= KernelFunction.most && slot < room[function.isFree] ?? 0
      if backend != .kprobe, methods.contains(.fentry), canTrace {
        functions.append(Function(function: function, method: .fentry, slot: slot))
        slots[function.isFree] = slot + 1
      } else if backend != .fentry || !canTrace, methods.contains(.kprobe) {
        functions.append(Function(function: function, method: .kprobe))
      } else {
        unheard.append(function)
      }
    }
  }

  /// Names of what is heard, as reports show them. `refused`: functions that could not be probed after all.
  func titles(without refused: [KernelFunction]) -> [String] {
    var titles: [String] = []
    for title in programs.compactMap({ Self.events[$0] })
      + functions.map(\.function).filter({
        !refused.contains($0)
      }).map(\.name) where !titles.contains(title)
    {
      titles.append(title)
    }
    return titles
  }

  /// What a report says of frees that nothing tells of, though what they free is seen to be born.
  func unheardFrees(with refused: [KernelFunction]) -> [String] {
    let hearsVmalloc = functions.contains {
      $0.function.domain == .vmalloc && !$0.function.isFree && !refused.contains($0.function)
    }
    return (unheard + refused).filter { $0.domain != .vmalloc || hearsVmalloc }.compactMap { function in
      switch function.operation {
      case .freesLater: "kfree_rcu (\(function.name))"
      case .freesMany: "frees of many objects at once (\(function.name))"
      case .frees: function.name
      case .allocates, .allocatesMany: nil
      }
    }
  }

  /// The tracepoint of each program that has one.
  private static let events: [String: String] = [
    "raw_kfree_told": "kmem:kfree", "raw_cache_free_told": "kmem:kmem_cache_free",
    "raw_kmalloc_told": "kmem:kmalloc", "raw_cache_alloc_told": "kmem:kmem_cache_alloc",
    "raw_kmalloc_node_told": "kmem:kmalloc_node", "raw_cache_alloc_node_told": "kmem:kmem_cache_alloc_node",
    "raw_pages_told": "kmem:mm_page_alloc", "raw_pages_freed": "kmem:mm_page_free",
    "raw_percpu_told": "percpu:percpu_alloc_percpu", "raw_percpu_freed": "percpu:percpu_free_percpu",
    "event_kfree": "kmem:kfree", "event_cache_free": "kmem:kmem_cache_free", "event_kmalloc": "kmem:kmalloc",
    "event_cache_alloc": "kmem:kmem_cache_alloc", "old_event_kmalloc": "kmem:kmalloc",
    "old_event_kmalloc_node": "kmem:kmalloc_node", "old_event_cache_alloc": "kmem:kmem_cache_alloc",
    "old_event_cache_alloc_node": "kmem:kmem_cache_alloc_node",
  ]
}

extension KernelFunction {
  /// The cookie of its probes, see `enum drip_kernel_cookie`.
  var cookie: UInt64 {
    func place(_ argument: Int?, _ shift: drip_kernel_cookie) -> UInt64 {
      UInt64(argument ?? Int(DRIP_KERNEL_NO_ARG.rawValue)) << UInt64(shift.rawValue)
    }
    return UInt64(operation.rawValue) | place(size, DRIP_KERNEL_SIZE_ARG)
      | place(cache, DRIP_KERNEL_CACHE_ARG)
      | place(flags, DRIP_KERNEL_FLAGS_ARG) | place(pointer, DRIP_KERNEL_POINTER_ARG)
      | place(count, DRIP_KERNEL_COUNT_ARG) | UInt64(domain.rawValue) << UInt64(DRIP_KERNEL_DOMAIN.rawValue)
  }
}

import CProbes
import Libbpf
import Probes

/// What the kernel's type information says of its allocators.
struct KernelTracepoints: Sendable, Hashable {
  var layout: drip_kmem_layout
  var percpuHasCaller: Bool

  /// The kinds are told apart by what the kernel has, for distributions carry such changes back.
  init(_ types: borrowing KernelTypes) {
    if types.parameters(ofTracepoint: "kmalloc_node") == nil {
      layout = DRIP_KMEM_61
    } else if types.parameters(ofTracepoint: "kmalloc")?.contains(where: { $0.type == "kmem_cache *" })
      == true
    {
      layout = DRIP_KMEM_60
    } else {
      layout = DRIP_KMEM_5
    }
    percpuHasCaller = (types.parameters(ofTracepoint: "percpu_alloc_percpu")?.count ?? 10) > 8
  }

  var isOld: Bool { layout != DRIP_KMEM_61 }
}

extension KernelPlan {
  /// Of the running kernel.
  init(_ types: borrowing KernelTypes) {
    var known: [String: [Parameter]] = [:]
    for name in Self.names {
      known[name] = types.parameters(ofFunction: name)?.map { Parameter(name: $0.name, type: $0.type) }
    }
    self.init { known[$0] }
  }
}

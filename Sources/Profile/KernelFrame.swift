/// What the names of the kernel's functions say of a stack.
public enum KernelFrame {
  /// The module of frames in the kernel itself; those of its modules have the module's name.
  public static let module = "kernel"

  /// Functions that every allocation of their kind goes through: whoever calls the outermost of them is the call site.
  private static let allocators = [
    "kmalloc", "__kmalloc", "___kmalloc", "__do_kmalloc", "kmem_cache_alloc", "__kmem_cache_alloc",
    "kvmalloc",
    "__kvmalloc", "kzalloc", "kcalloc", "krealloc", "__krealloc", "__do_krealloc", "kvrealloc", "kmemdup",
    "kstrdup", "kstrndup", "kasprintf",
    "kvasprintf", "memdup_user", "vmemdup_user", "strndup_user", "vmalloc", "__vmalloc", "vzalloc", "vmap_",
    "slab_alloc", "__slab_alloc",
    "___slab_alloc", "allocate_slab", "new_slab", "__alloc_pages", "alloc_pages", "__alloc_frozen_pages",
    "get_free_pages", "__get_free_pages",
    "get_zeroed_page", "pcpu_alloc", "__alloc_percpu", "mempool_alloc", "folio_alloc", "vma_alloc_folio",
    "alloc_anon_folio", "kmalloc_slab", "alloc_slab_obj_exts", "slab_post_alloc_hook",
  ]

  /// True for a frame of the kernel's allocators.
  public static func isAllocator(_ frame: Frame) -> Bool {
    guard frame.module == module, let function = frame.function else { return false }
    return allocators.contains { function.hasPrefix($0) }
  }

  /// Functions by which interrupts come in; what is allocated below them is of no process.
  private static let interrupts: Set<String> = [
    "handle_softirqs", "__do_softirq", "do_softirq", "__irq_exit_rcu", "irq_exit_rcu", "run_ksoftirqd",
    "__handle_irq_event_percpu", "handle_irq_event", "__hrtimer_run_queues", "__common_interrupt",
    "common_interrupt",
    "asm_common_interrupt", "asm_sysvec_apic_timer_interrupt",
  ]

  /// True if the stack goes through an interrupt.
  public static func isInterrupt(_ frames: [Frame]) -> Bool {
    frames.contains { $0.module == module && $0.function.map(isInterrupt) == true }
  }

  /// Each vector has an entry of its own, which no list would keep up with.
  private static func isInterrupt(_ function: String) -> Bool {
    interrupts.contains(function) || function.hasPrefix("asm_sysvec_") || function.hasPrefix("sysvec_")
      || (function.hasPrefix("asm_") && function.hasSuffix("_interrupt"))
  }

  /// The module that a stack is to be blamed on: of the call site, or the first one that is no part of the kernel itself
  /// among the callers of a function of the kernel's. nil for the kernel.
  public static func owner(_ frames: [Frame]) -> String? {
    frames.first { !isAllocator($0) }.flatMap { $0.module == module ? nil : $0.module }
  }

  /// Accounting vectors, kmemleak's objects, and what vmalloc keeps of an area: its description and the list of its pages.
  private static let bookkeeping: Set<String> = [
    "alloc_slab_obj_exts", "memcg_alloc_slab_cgroups", "__create_object", "__alloc_object",
    "__vmalloc_area_node", "__get_vm_area_node", "alloc_vmap_area",
  ]

  /// Memory that the allocators take for themselves, on the account of whoever calls at that time. vmalloc's lists of
  /// pages come through its own function a second time, its descriptions through it and the slab allocator.
  public static func isBookkeeping(_ frames: [Frame], domain: KernelDomain = .slab) -> Bool {
    let names = frames.filter { $0.module == module }.compactMap(\.function)
    return names.contains(where: bookkeeping.contains)
      || names.count { $0.hasPrefix("__vmalloc_node_range") } > (domain == .vmalloc ? 1 : 0)
  }
}

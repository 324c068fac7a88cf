import Profile
import Testing

@Suite("kernel memory, pure")
struct KernelProfileTests {
  private func frame(_ function: String, _ module: String = KernelFrame.module) -> Frame {
    Frame(address: 1, function: function, module: module)
  }

  private func site(_ id: UInt32, bytes: UInt64, _ frames: [Frame]) -> Site {
    Site(
      pid: 7, outstandingBytes: bytes, outstandingCount: 2, allocs: 3, frees: 1, allocatedBytes: bytes * 2,
      growthBytesPerSecond: 10, frames: frames, ids: [id])
  }

  @Test("the call site is the first frame outside of the allocators")
  func callSite() {
    let frames = [
      frame("__kmalloc_cache_noprof"), frame("kmemdup"), frame("drip_leak", "dripleak"), frame("do_init"),
    ]
    #expect(CallSite.frame(frames)?.function == "drip_leak")
    #expect(KernelFrame.owner(frames) == "dripleak")
    #expect(KernelFrame.owner([frame("kfree"), frame("newque")]) == nil)
    // A program's function of such a name is its own.
    #expect(!CallSite.isPassage(Frame(address: 1, function: "kmalloc", module: "/usr/bin/program")))
  }

  @Test("interrupts and the allocators' own memory are known by their functions")
  func kinds() {
    #expect(KernelFrame.isInterrupt([frame("__alloc_skb"), frame("handle_softirqs"), frame("irq_exit_rcu")]))
    #expect(!KernelFrame.isInterrupt([frame("__alloc_skb"), frame("sock_sendmsg")]))
    for entry in [
      "asm_sysvec_call_function_single", "sysvec_irq_work", "asm_sysvec_reschedule_ipi",
      "asm_common_interrupt",
    ] {
      #expect(KernelFrame.isInterrupt([frame("__kmalloc"), frame(entry)]), "\(entry)")
    }
    #expect(!KernelFrame.isInterrupt([frame("__kmalloc"), frame("asm_exc_page_fault")]))
    #expect(KernelFrame.isBookkeeping([frame("__kmalloc"), frame("alloc_slab_obj_exts"), frame("user")]))
    let vmalloc = [frame("kmalloc_node_trace"), frame("__vmalloc_node_range_noprof"), frame("user")]
    #expect(KernelFrame.isBookkeeping(vmalloc))
    #expect(!KernelFrame.isBookkeeping(Array(vmalloc.dropFirst()), domain: .vmalloc))
    #expect(KernelFrame.isBookkeeping([vmalloc[1]] + vmalloc, domain: .vmalloc))
  }

  @Test(
    "kmalloc's caches by size and flags",
    arguments: [
      (1, 0xcc0, "kmalloc-8"), (65, 0xcc0, "kmalloc-96"), (512, 0xcc0, "kmalloc-512"),
      (513, 0xcc0, "kmalloc-1k"),
      (8192, 0xcc0, "kmalloc-8k"), (100, 0x400cc0, "kmalloc-cg-128"), (100, 0xcd0, "kmalloc-rcl-128"),
      (100, 0xcc1, "dma-kmalloc-128"),
    ])
  func caches(bytes: UInt64, flags: UInt32, name: String) {
    #expect(KernelCacheName.kmalloc(bytes: bytes, flags: flags) == name)
  }

  @Test("a cache that this kernel does not have is not named; what is too large is from none")
  func missingCaches() {
    #expect(KernelCacheName.kmalloc(bytes: 100, flags: 0x400cc0) { !$0.contains("cg") } == "kmalloc-128")
    #expect(KernelCacheName.kmalloc(bytes: 8193, flags: 0) == nil)
    // Callers with caches of their own, where the kernel has them; not what goes through others on its way to them.
    func stack(_ functions: String...) -> [Frame] {
      functions.map { Frame(address: 1, function: $0, module: KernelFrame.module) }
    }
    let message = stack("__kmalloc_node_noprof", "load_msg", "do_msgsnd")
    #expect(KernelCacheName.kmalloc(bytes: 148, flags: 0xcc0, stack: message) == "msg_msg-192")
    #expect(
      KernelCacheName.kmalloc(bytes: 148, flags: 0xcc0, stack: message) { !$0.hasPrefix("msg_msg") }
        == "kmalloc-192")
    let copy = stack("__kmalloc_node_track_caller_noprof", "memdup_user", "setxattr")
    #expect(KernelCacheName.kmalloc(bytes: 1500, flags: 0, stack: copy) == "memdup_user-2k")
    let vectors = stack("__kmalloc_node_noprof", "new_vector", "load_msg")
    #expect(KernelCacheName.kmalloc(bytes: 148, flags: 0, stack: vectors) == "kmalloc-192")
  }

  @Test("sites add up by cache, module and process, the largest first")
  func groups() {
    let sites = [
      site(1, bytes: 100, [frame("kmalloc_trace"), frame("leak", "mod")]),
      site(2, bytes: 300, [frame("kmalloc_trace"), frame("newque")]),
      site(3, bytes: 50, [frame("kmalloc_trace"), frame("leak", "mod")]), site(4, bytes: 1, []),
    ]
    let maker = KernelOrigin(domain: .slab, pid: 7, command: "maker")
    var mixed = maker
    mixed.isMixed = true
    let details: [UInt32: KernelProfile.Detail] = [
      1: .init(origin: maker, cache: "kmalloc-64"), 2: .init(origin: mixed, cache: "kmalloc-64"),
      3: .init(origin: maker, cache: "own", isInterrupt: true),
    ]
    let kernel = KernelProfile(
      profile: HeapProfile(
        dripVersion: "", capture: CaptureInfo(startUnixNanoseconds: 0, seconds: 1, kernel: "", backend: ""),
        processes: [], totals: Totals(), losses: Losses(), table: TableUse(), sites: sites),
      coverage: KernelCoverage(backend: .rawtp), details: details)
    let caches = KernelGroup.make(kernel, by: .cache)
    #expect(caches.map(\.name) == ["kmalloc-64", "own", "(no room for this stack)"])
    #expect(caches.map(\.outstandingBytes) == [400, 50, 1])
    #expect(caches.first?.sites == 2)
    #expect(caches.first?.growthBytesPerSecond == 20)
    #expect(
      KernelGroup.make(kernel, by: .module).map(\.name) == ["kernel", "mod", "(no room for this stack)"])
    #expect(
      KernelGroup.make(kernel, by: .process).map(\.name) == [
        "(several processes)", "maker (pid 7)", "(interrupts)", "(no room for this stack)",
      ])
  }
}

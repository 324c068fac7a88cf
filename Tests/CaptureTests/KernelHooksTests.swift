import CProbes
import Probes
import Profile
import Testing

@testable import Capture

@Suite("kernel hooks")
struct KernelHooksTests {
  private static let kfree = KernelFunction(name: "kfree", operation: .frees, parameters: 1, pointer: 0)
  private static let alloc = KernelFunction(
    name: "kmem_cache_alloc", operation: .allocates, parameters: 2, cache: 0, flags: 1)
  private static let later = KernelFunction(
    name: "kvfree_call_rcu", operation: .freesLater, parameters: 2, pointer: 0)
  private static let range = KernelFunction(
    name: "__vmalloc_node_range", operation: .allocates, domain: .vmalloc, parameters: 9, size: 0, flags: 4)
  private static let vfree = KernelFunction(
    name: "vfree", operation: .frees, domain: .vmalloc, parameters: 1, pointer: 0)

  private func hooks(
    _ backend: KernelBackend, _ methods: Set<KernelHooks.Function.Method>, isOld: Bool = false,
    domains: Set<KernelDomain> = [.slab, .vmalloc]
  ) -> KernelHooks {
    var known: [String: [KernelPlan.Parameter]] = [:]
    func add(_ name: String, _ list: [(String, String)]) {
      known[name] = list.map { KernelPlan.Parameter(name: $0.0, type: $0.1) }
    }
    add("kfree", [("object", "void *")])
    add("kmem_cache_alloc", [("s", "kmem_cache *"), ("flags", "gfp_t")])
    add("kvfree_call_rcu", [("head", "callback_head *"), ("ptr", "void *")])
    add("vfree", [("addr", "void *")])
    add(
      "__vmalloc_node_range",
      [("size", "long unsigned int"), ("align", "x"), ("start", "x"), ("end", "x"), ("gfp_mask", "gfp_t")]
        + [("a", "x"), ("b", "x"), ("c", "x"), ("d", "x")])
    return KernelHooks(
      backend, plan: KernelPlan { known[$0] }, methods: methods, isOld: isOld, domains: domains)
  }

  @Test("raw tracepoints with twins, and function probes for what they do not tell of")
  func raw() {
    let all = hooks(.rawtp, [.fentry, .kprobe])
    #expect(all.programs.contains("raw_kfree_twin"))
    #expect(!all.programs.contains("raw_kmalloc_node_told"))
    #expect(Set(all.functions.map(\.function.name)) == ["kvfree_call_rcu", "vfree", "__vmalloc_node_range"])
    // Nine arguments are too many for fexit.
    #expect(all.functions.first { $0.function.name == "__vmalloc_node_range" }?.method == .kprobe)
    #expect(all.functions.first { $0.function.name == "vfree" }?.method == .fentry)
    #expect(all.unheard.isEmpty)
    #expect(hooks(.rawtp, [], isOld: true).programs.contains("raw_kmalloc_node_told"))
  }

  @Test("frees stand first, so that nothing is born before its end can be heard of")
  func order() throws {
    let all = hooks(.kprobe, [.kprobe])
    let firstBirth = try #require(all.functions.firstIndex { !$0.function.isFree })
    #expect(all.functions[firstBirth...].allSatisfy { !$0.function.isFree })
    #expect(all.functions.allSatisfy { $0.method == .kprobe })
    #expect(all.programs.isEmpty)
  }

  @Test("what cannot be heard is said, but not frees of what is not seen to be born")
  func unheard() {
    let none = hooks(.rawtp, [])
    #expect(none.unheardFrees(with: []) == ["kfree_rcu (kvfree_call_rcu)"])
    let only = hooks(.fentry, [.fentry])
    #expect(only.unheard.map(\.name) == ["__vmalloc_node_range"])
    #expect(only.unheardFrees(with: []).isEmpty)
    #expect(hooks(.rawtp, [.kprobe]).unheardFrees(with: [Self.vfree]) == ["vfree"])
    #expect(!hooks(.rawtp, [.kprobe]).titles(without: [Self.vfree]).contains("vfree"))
  }

  @Test("each function of its own kind of probe has its own program, none twice")
  func slots() {
    let all = hooks(.fentry, [.fentry, .kprobe])
    let programs = all.functions.filter { $0.method == .fentry }.flatMap(\.programs)
    #expect(Set(programs).count == programs.count)
    #expect(programs.contains("traced_left_0") && programs.contains("traced_frees_0"))
  }

  @Test("only the domains that are asked for")
  func domains() {
    #expect(hooks(.rawtp, [.kprobe], domains: [.pages]).allPrograms == ["raw_pages_freed", "raw_pages_told"])
    #expect(hooks(.kprobe, [.kprobe], domains: [.slab]).functions.allSatisfy { $0.function.domain == .slab })
  }

  @Test("cookies have each argument in its place")
  func cookies() {
    func argument(_ cookie: UInt64, _ place: drip_kernel_cookie) -> UInt64 {
      cookie >> UInt64(place.rawValue) & 15
    }
    let cookie = Self.range.cookie
    #expect(cookie & 255 == UInt64(DRIP_KERNEL_ALLOC.rawValue))
    #expect(argument(cookie, DRIP_KERNEL_SIZE_ARG) == 0)
    #expect(argument(cookie, DRIP_KERNEL_CACHE_ARG) == UInt64(DRIP_KERNEL_NO_ARG.rawValue))
    #expect(argument(cookie, DRIP_KERNEL_FLAGS_ARG) == 4)
    #expect(argument(cookie, DRIP_KERNEL_DOMAIN) == UInt64(DRIP_KERNEL_VMALLOC.rawValue))
    #expect(Self.later.cookie & 255 == UInt64(DRIP_KERNEL_FREE_RCU.rawValue))
    #expect(argument(Self.kfree.cookie, DRIP_KERNEL_POINTER_ARG) == 0)
    #expect(argument(Self.alloc.cookie, DRIP_KERNEL_CACHE_ARG) == 0)
  }

  @Test("operations and domains are numbered alike on both sides")
  func numbers() {
    #expect(KernelFunction.Operation.allocatesMany.rawValue == UInt8(DRIP_KERNEL_ALLOC_BULK.rawValue))
    #expect(KernelFunction.Operation.freesMany.rawValue == UInt8(DRIP_KERNEL_FREE_BULK.rawValue))
    #expect(KernelDomain.pages.rawValue == UInt8(DRIP_KERNEL_PAGES.rawValue))
    #expect(KernelDomain.percpu.rawValue == UInt8(DRIP_KERNEL_PERCPU.rawValue))
  }

  @Test("tables are what was asked for, in powers of two, and cost what is said")
  func layout() {
    let layout = KernelLayout(options: KernelCaptureOptions(maxLive: 100_000, maxSites: 1000), cpus: 2)
    #expect(layout.buckets == 65_536)
    #expect(layout.sites == 2048)
    #expect(layout.bytes > layout.buckets * 128 && layout.bytes < 16 << 20)
    #expect(KernelLayout(options: KernelCaptureOptions(), cpus: 2).bytes < 40 << 20)
  }
}

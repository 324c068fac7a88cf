import Profile
import Testing

@testable import Probes

/// The plan from the parameter lists of kernels that were looked at, as their BTF has them.
@Suite("kernel plans")
struct KernelPlanTests {
  private typealias Parameters = [(String, String)]

  private static let slab: [String: Parameters] = [
    "kfree": [("object", "void *")], "kmem_cache_free": [("s", "kmem_cache *"), ("x", "void *")],
    "kmem_cache_free_bulk": [("s", "kmem_cache *"), ("size", "size_t"), ("p", "void **")],
    "vfree": [("addr", "void *")],
  ]
  /// Debian's 6.1.
  private static let old = slab.merging([
    "__kmalloc": [("size", "size_t"), ("flags", "gfp_t")],
    "kmalloc_trace": [("s", "kmem_cache *"), ("gfpflags", "gfp_t"), ("size", "size_t")],
    "kmem_cache_alloc": [("s", "kmem_cache *"), ("gfpflags", "gfp_t")],
    "kmem_cache_alloc_lru": [("s", "kmem_cache *"), ("lru", "list_lru *"), ("gfpflags", "gfp_t")],
    "kmem_cache_alloc_bulk": [
      ("s", "kmem_cache *"), ("flags", "gfp_t"), ("size", "size_t"), ("p", "void **"),
    ],
    // An inner one of kmalloc_large: it must not be told of twice.
    "__kmalloc_large_node": [("size", "size_t"), ("flags", "gfp_t"), ("node", "int")],
    "kmalloc_large": [("size", "size_t"), ("flags", "gfp_t")],
    "__vmalloc_node_range": [
      ("size", "long unsigned int"), ("align", "long unsigned int"), ("start", "long unsigned int"),
      ("end", "long unsigned int"), ("gfp_mask", "gfp_t"), ("prot", "pgprot_t"),
      ("vm_flags", "long unsigned int"),
      ("node", "int"), ("caller", "void *"),
    ],
    "kvfree_call_rcu": [("head", "callback_head *"), ("func", "rcu_callback_t")],
  ]) { $1 }
  /// Debian's 6.12: other names, and kmem_buckets between size and flags.
  private static let new = slab.merging([
    "__kmalloc_noprof": [("size", "size_t"), ("flags", "gfp_t")],
    "__kmalloc_node_noprof": [
      ("size", "size_t"), ("b", "kmem_buckets *"), ("flags", "gfp_t"), ("node", "int"),
    ],
    "__kmalloc_cache_noprof": [("s", "kmem_cache *"), ("gfpflags", "gfp_t"), ("size", "size_t")],
    "kmem_cache_alloc_noprof": [("s", "kmem_cache *"), ("gfpflags", "gfp_t")],
    "__kmalloc_large_node_noprof": [("size", "size_t"), ("flags", "gfp_t"), ("node", "int")],
    "kvfree_call_rcu": [("head", "callback_head *"), ("ptr", "void *")],
  ]) { $1 }

  private func plan(_ kernel: [String: Parameters]) -> KernelPlan {
    KernelPlan { kernel[$0]?.map { KernelPlan.Parameter(name: $0.0, type: $0.1) } }
  }

  private func function(_ name: String, _ plan: KernelPlan) throws -> KernelFunction {
    try #require(plan.functions.first { $0.name == name }, "\(name)")
  }

  @Test("arguments are found where the kernel has them")
  func arguments() throws {
    let old = plan(Self.old)
    let new = plan(Self.new)
    let plain = try function("__kmalloc", old)
    #expect((plain.size, plain.cache, plain.flags) == (0, nil, 1))
    let trace = try function("kmalloc_trace", old)
    #expect((trace.size, trace.cache, trace.flags) == (2, 0, 1))
    let bucket = try function("__kmalloc_node_noprof", new)
    #expect((bucket.size, bucket.flags, bucket.parameters) == (0, 2, 4))
    let cache = try function("kmem_cache_alloc_lru", old)
    #expect((cache.size, cache.cache, cache.flags) == (nil, 0, 2))
    let range = try function("__vmalloc_node_range", old)
    #expect((range.size, range.flags, range.parameters, range.domain) == (0, 4, 9, .vmalloc))
  }

  @Test("frees, arrays of objects and frees that come later")
  func frees() throws {
    let plan = plan(Self.old)
    #expect(try function("kfree", plan).pointer == 0)
    #expect(try function("kmem_cache_free", plan).pointer == 1)
    let many = try function("kmem_cache_free_bulk", plan)
    #expect((many.operation, many.count, many.pointer) == (.freesMany, 1, 2))
    let made = try function("kmem_cache_alloc_bulk", plan)
    #expect((made.operation, made.count, made.pointer, made.size) == (.allocatesMany, 2, 3, nil))
    let later = try function("kvfree_call_rcu", plan)
    #expect((later.operation, later.pointer) == (.freesLater, 0))
    #expect(many.isFree && later.isFree && !made.isFree)
  }

  @Test("no function that another one of the plan calls; the newer name where both would do")
  func once() {
    let names = plan(Self.old).functions.map(\.name)
    #expect(!names.contains("__kmalloc_large_node"))
    #expect(names.contains("kmalloc_large"))
    #expect(plan(Self.new).functions.contains { $0.name == "__kmalloc_large_node_noprof" })
    #expect(Set(names).count == names.count)
  }

  @Test("what no tracepoint tells of")
  func untold() {
    #expect(
      Set(plan(Self.old).untold.map(\.name)) == [
        "kmem_cache_alloc_bulk", "__vmalloc_node_range", "kmem_cache_free_bulk", "kvfree_call_rcu", "vfree",
      ])
  }

  @Test("what tells neither size nor cache is left out, and a kernel without any of it has an empty plan")
  func nonsense() {
    #expect(plan(["__kmalloc": [("flags", "gfp_t")]]).functions.isEmpty)
    #expect(plan(["kfree": []]).functions.isEmpty)
    #expect(plan(["kmem_cache_free_bulk": [("s", "kmem_cache *")]]).functions.isEmpty)
    #expect(plan([:]).functions.isEmpty)
  }
}

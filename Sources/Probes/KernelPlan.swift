public import Profile

/// A function of the kernel that allocates or frees, and where its arguments stand. Found by what its kernel's type
/// information says of it, never by a version: names and arguments change from one to the next.
public struct KernelFunction: Sendable, Hashable {
  /// What it does; the raw values of `enum drip_kernel_op`.
  public enum Operation: UInt8, Sendable, Hashable {
    case allocates = 1
    case allocatesMany = 2
    case frees = 3
    case freesMany = 4
    /// After a grace period; nobody may use the object from now on.
    case freesLater = 5
  }

  public var name: String
  public var operation: Operation
  public var domain: KernelDomain
  /// How many arguments it takes.
  public var parameters: Int
  /// Numbers of the arguments, from 0; nil for what it does not take.
  public var size: Int?
  public var cache: Int?
  public var flags: Int?
  /// The object that is freed, or the array of objects.
  public var pointer: Int?
  /// The length of that array.
  public var count: Int?

  public init(
    name: String, operation: Operation, domain: KernelDomain = .slab, parameters: Int, size: Int? = nil,
    cache: Int? = nil, flags: Int? = nil, pointer: Int? = nil, count: Int? = nil
  ) {
    self.name = name
    self.operation = operation
    self.domain = domain
    self.parameters = parameters
    self.size = size
    self.cache = cache
    self.flags = flags
    self.pointer = pointer
    self.count = count
  }

  public var isFree: Bool { operation.rawValue >= Operation.frees.rawValue }

  /// More than a probe can read: six arguments are in registers.
  public static let most = 6
}

/// Which functions of a kernel are to be probed for a complete picture of its allocations, and which of them even where
/// tracepoints tell of the rest.
public struct KernelPlan: Sendable, Hashable {
  /// A parameter of a function: its name and its type, as `KernelTypes` has them.
  public struct Parameter: Sendable, Hashable {
    public var name: String
    public var type: String

    public init(name: String, type: String) {
      self.name = name
      self.type = type
    }
  }

  /// Everything that allocates or frees on this kernel.
  public var functions: [KernelFunction]

  /// Those whose work no tracepoint tells of.
  public var untold: [KernelFunction] {
    functions.filter {
      $0.domain == .vmalloc || [.allocatesMany, .freesMany, .freesLater].contains($0.operation)
    }
  }

  /// `parameters` tells those of a function of the kernel; nil for one that it does not have.
  public init(parameters: (String) -> [Parameter]?) {
    functions = Self.candidates.compactMap { candidate in
      // Since 6.10 many end so: the name without is a macro that notes who allocates.
      for name in [candidate.name, candidate.name + "_noprof"] {
        guard let list = parameters(name) else { continue }
        return candidate.describe(name, list)
      }
      return nil
    }
  }

  /// The names of all functions that a plan may have.
  public static var names: [String] { candidates.flatMap { [$0.name, $0.name + "_noprof"] } }

  private struct Candidate {
    var name: String
    var operation = KernelFunction.Operation.allocates
    var domain = KernelDomain.slab

    func describe(_ name: String, _ list: [Parameter]) -> KernelFunction? {
      func first(_ condition: (Parameter) -> Bool) -> Int? {
        list.firstIndex(where: condition).flatMap { $0 < KernelFunction.most ? $0 : nil }
      }
      var function = KernelFunction(
        name: name, operation: operation, domain: domain, parameters: list.count,
        size: first { $0.name == "size" && $0.type == "size_t" || domain == .vmalloc && $0.name == "size" },
        cache: first { $0.type == "kmem_cache *" }, flags: first { $0.type == "gfp_t" })
      switch operation {
      case .allocates:
        // What tells neither would be counted with no size.
        return function.size == nil && function.cache == nil ? nil : function
      case .frees:
        // The last one is the object: kfree(object), kmem_cache_free(cache, object).
        function.pointer = list.indices.last
        return function.pointer == nil ? nil : function
      case .freesLater:
        function.pointer = 0
        return list.count == 2 ? function : nil
      case .allocatesMany, .freesMany:
        function.size = nil
        function.pointer = first { $0.type == "void **" }
        function.count = first { $0.type == "size_t" || $0.type == "unsigned int" || $0.type == "int" }
        return function.pointer == nil || function.count == nil ? nil : function
      }
    }
  }

  /// The innermost function of each way, under every name that it has had: of one that calls another in this list a
  /// call would be told twice.
  private static let candidates: [Candidate] =
    [
      "__kmalloc", "__kmalloc_node", "__kmalloc_track_caller", "__kmalloc_node_track_caller",
      "kmem_cache_alloc_trace", "kmem_cache_alloc_node_trace", "kmalloc_trace", "kmalloc_node_trace",
      "__kmalloc_cache", "__kmalloc_cache_node", "kmalloc_large", "kmalloc_large_node",
    ].map { Candidate(name: $0) }
    // An inner function of kmalloc_large in 6.1; its successor has the longer name alone.
    + ["__kmalloc_large_noprof", "__kmalloc_large_node_noprof", "kmalloc_nolock"].map { Candidate(name: $0) }
    + ["kmem_cache_alloc", "kmem_cache_alloc_node", "kmem_cache_alloc_lru", "kmem_cache_alloc_from_sheaf"].map
  {
    Candidate(name: $0)
  }
    + [
      Candidate(name: "kmem_cache_alloc_bulk", operation: .allocatesMany),
      Candidate(name: "__vmalloc_node_range", domain: .vmalloc),
      Candidate(name: "kfree", operation: .frees),
      Candidate(name: "kmem_cache_free", operation: .frees),
      Candidate(name: "kfree_nolock", operation: .frees),
      Candidate(name: "kmem_cache_free_bulk", operation: .freesMany),
      Candidate(name: "kvfree_call_rcu", operation: .freesLater),
      Candidate(name: "vfree", operation: .frees, domain: .vmalloc),
    ]
}

public import Profile

/// What the kernel's own figures say to growth that drip has counted: much of it is no leak, and some is not even growth.
/// Pure.
public struct KernelEvidence: Sendable {
  /// Why a site's growth is not to be called a leak.
  public enum Caveat: Sendable, Hashable {
    /// Taken back by the kernel when memory is short.
    case reclaimable(cache: String)
    /// Held for a time that the protocol or the subsystem sets.
    case timeLimited(what: String)
    /// The allocator's own, on the account of whoever called.
    case bookkeeping
    /// The cache has not grown with it: what drip counts was freed in a way that it cannot hear.
    case unheardFrees(tracked: UInt64, grown: Int64)
    /// Some frees cannot be heard here, and nothing could be compared.
    case notComparable

    public var sentence: String {
      switch self {
      case .reclaimable(let cache): "\(cache) is a cache that the kernel shrinks when memory is short"
      case .timeLimited(let what): "\(what) are kept for a time and then freed"
      case .bookkeeping: "the allocator's own bookkeeping, on the account of whoever called"
      case .unheardFrees(let tracked, let grown):
        "the cache has \(Self.change(grown)) in use while \(Quantities.count(tracked)) of them are counted: they were freed in a way that "
          + "this kernel does not tell of, or as many older ones were freed"
      case .notComparable:
        "this kernel does not tell of all frees, and its slab counts cannot confirm the growth"
      }
    }

    private static func change(_ objects: Int64) -> String {
      objects == 0
        ? "as many objects as before"
        : "\(Quantities.count(objects.magnitude)) \(objects < 0 ? "fewer" : "more") objects"
    }
  }

  /// Objects that caches gain or lose without anybody's doing: each CPU keeps some ready.
  private static let slack: Int64 = 256

  private let caches: [String: KernelProfile.Cache]
  private let hearsAllFrees: Bool

  public init(caches: [KernelProfile.Cache], coverage: KernelCoverage) {
    var byName: [String: KernelProfile.Cache] = [:]
    for cache in caches { for name in [cache.name] + cache.aliases { byName[name] = cache } }
    self.caches = byName
    hearsAllFrees = coverage.unheardFrees.isEmpty
  }

  /// What speaks against a leak at this site; nil if nothing does.
  public func caveat(_ site: Site, _ detail: KernelProfile.Detail) -> Caveat? {
    if KernelFrame.isBookkeeping(site.frames, domain: detail.origin.domain) { return .bookkeeping }
    let cache = detail.cache.flatMap { caches[$0] }
    if let name = detail.cache, cache?.isReclaimable == true || Self.isReclaimable(name) {
      return .reclaimable(cache: name)
    }
    if let what = Self.timeLimited(site.frames, cache: detail.cache) { return .timeLimited(what: what) }
    guard detail.origin.domain == .slab else { return nil }
    switch isCorroborated(detail) {
    case true: return nil
    case false:
      return cache.map { .unheardFrees(tracked: $0.trackedCount, grown: $0.growth) } ?? .notComparable
    case nil: return hearsAllFrees ? nil : .notComparable
    }
  }

  /// Whether the cache's own figures agree with what is counted: all that is counted of it against all that it gained.
  /// nil where they cannot tell: there are none, or the numbers are so small that what CPUs keep ready hides them.
  public func isCorroborated(_ detail: KernelProfile.Detail) -> Bool? {
    guard detail.origin.domain == .slab, let name = detail.cache, let cache = caches[name] else { return nil }
    let expected = Int64(clamping: cache.trackedCount / 2)
    if cache.growth >= max(expected, Self.slack) { return true }
    guard cache.growth + Self.slack < expected else { return nil }
    // A cache that was only inferred may be the wrong one of its size: then it says nothing.
    if detail.origin.cache == nil, growthOfSize(cache.objectBytes) + Self.slack >= expected { return nil }
    return false
  }

  /// What all caches gained together from which kmalloc may serve objects of a size: there are several kinds, and kernels
  /// that choose one of many at random.
  private func growthOfSize(_ bytes: UInt64) -> Int64 {
    let names = Set(caches.values.filter { $0.objectBytes == bytes }.map(\.name))
    return names.compactMap { caches[$0]?.growth }.filter { $0 > 0 }.reduce(0, +)
  }

  /// What a verdict comes to with a caveat: nobody is accused of what is not a leak.
  public static func cap(_ verdict: Verdict, _ caveat: Caveat?) -> Verdict {
    guard caveat != nil else { return verdict }
    var verdict = verdict
    verdict.level = min(verdict.level, .watch)
    return verdict
  }

  private static func isReclaimable(_ cache: String) -> Bool {
    ["dentry", "buffer_head", "radix_tree_node", "shared_policy_node", "inode_cache"].contains(cache)
      || cache.hasSuffix("_inode_cache") || cache.hasSuffix("inode_cache") || cache.hasPrefix("kmalloc-rcl-")
  }

  private static func timeLimited(_ frames: [Frame], cache: String?) -> String? {
    let caches = [
      ("tw_sock_", "sockets in TIME_WAIT"), ("request_sock_", "connections under way"),
      ("tcp_bind_bucket", "bound ports"), ("tcp_bind2_bucket", "bound ports"),
      ("inet_peer_cache", "facts about peers"),
      ("ip_dst_cache", "routes"), ("nf_conntrack", "tracked connections"),
    ]
    if let cache, let hit = caches.first(where: { cache.hasPrefix($0.0) }) { return hit.1 }
    let functions = [("neigh_alloc", "neighbours"), ("inet_twsk_alloc", "sockets in TIME_WAIT")]
    for frame in frames where frame.module == KernelFrame.module {
      if let hit = functions.first(where: { frame.function?.hasPrefix($0.0) == true }) { return hit.1 }
    }
    return nil
  }
}

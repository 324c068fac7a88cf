import Foundation
import Testing

/// What `drip dump --kernel --format json` says of the kernel (docs/formats.md), as far as it is read here.
struct KernelDump: Decodable {
  struct Totals: Decodable {
    let allocs: UInt64
    let frees: UInt64
  }
  struct Frame: Decodable {
    let function: String?
    let module: String?
  }
  struct Verdict: Decodable { let level: String }
  struct Site: Decodable {
    let domain: String
    let cache: String?
    let caller_only: Bool
    let in_interrupt: Bool
    let outstanding_count: UInt64
    let outstanding_bytes: UInt64
    let allocs: UInt64
    let frees: UInt64
    let allocated_bytes: UInt64
    let frames: [Frame]
    let verdict: Verdict?

    /// The first function outside of the allocators: the one that wanted the memory.
    var caller: Frame? { frames.first { !KernelDump.isAllocator($0.function) } }

    /// vmalloc keeps lists of its pages in memory of either kind.
    var isForVmallocItself: Bool {
      let ranges = frames.prefix { KernelDump.isAllocator($0.function) }.filter {
        $0.function?.hasPrefix("__vmalloc_node_range") == true
      }
      return ranges.count > (domain == "vmalloc" ? 1 : 0)
    }
  }
  struct Half: Decodable {
    let backend: String
    let hooks: [String]
    let unheard_frees: [String]
    let totals: Totals
    let losses: [String: UInt64]
    let sites: [Site]
  }
  private struct Whole: Decodable { let kernel: Half }

  let half: Half

  init(_ text: String) throws { half = try JSONDecoder().decode(Whole.self, from: Data(text.utf8)).kernel }

  private static let allocators = [
    "kmalloc", "kzalloc", "kcalloc", "krealloc", "kmemdup", "kmem_cache_alloc", "kvmalloc", "vmalloc",
  ]

  private static func isAllocator(_ function: String?) -> Bool {
    guard let name = function?.drop(while: { $0 == "_" }) else { return false }
    return allocators.contains { name.hasPrefix($0) }
  }

  /// The sums by the functions that tell their truth, of what they allocated themselves: what vmalloc needs for its own
  /// books, and what an interrupt does on their stack, is not theirs.
  func counts(by names: some Collection<String>, domains: Set<String>) -> [String: SiteCounts] {
    let names = Set(names)
    var result: [String: SiteCounts] = [:]
    for site in half.sites where domains.contains(site.domain) && !site.isForVmallocItself {
      guard let name = site.caller?.function, names.contains(name) else { continue }
      result[name, default: SiteCounts()].allocs += site.allocs
      result[name, default: SiteCounts()].frees += site.frees
      result[name, default: SiteCounts()].allocatedBytes += site.allocated_bytes
      result[name, default: SiteCounts()].outstandingBytes += site.outstanding_bytes
    }
    return result
  }
}

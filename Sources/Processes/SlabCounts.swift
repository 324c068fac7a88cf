/// How many objects each slab cache of the kernel has in use, and which caches share their slabs.
public struct SlabCounts: Sendable, Hashable {
  public struct Cache: Sendable, Hashable {
    /// The name in /proc/slabinfo: of several that share their slabs the first.
    public var name: String
    /// Other names of the same slabs.
    public var aliases: [String] = []
    /// Objects in use. Those that each CPU keeps ready count too, so a change of some hundreds means nothing.
    public var active: UInt64
    /// Objects that there is room for.
    public var total: UInt64
    /// Bytes of an object, with what the allocator adds.
    public var objectBytes: UInt64
    /// The kernel takes its objects back when memory is short (SLAB_RECLAIM_ACCOUNT); nil where it does not tell.
    public var isReclaimable: Bool?

    public init(
      name: String, aliases: [String] = [], active: UInt64, total: UInt64, objectBytes: UInt64,
      isReclaimable: Bool? = nil
    ) {
      self.name = name
      self.aliases = aliases
      self.active = active
      self.total = total
      self.objectBytes = objectBytes
      self.isReclaimable = isReclaimable
    }
  }

  public private(set) var caches: [Cache]
  private var places: [String: Int] = [:]

  public init(caches: [Cache]) {
    self.caches = caches
    for (index, cache) in caches.enumerated() {
      for name in [cache.name] + cache.aliases { places[name] = index }
    }
  }

  /// The cache of this name, or of which it is another name.
  public subscript(name name: String) -> Cache? { places[name].map { caches[$0] } }

  /// Parses /proc/slabinfo, version 2.1 (proc(5)): lines "name active total objsize perslab pages : tunables …". Other
  /// lines are passed over. `details` tells what stands in a cache's directory of /sys/kernel/slab.
  public init(slabinfo text: String, details: (String) -> Details = { _ in Details() }) {
    var caches: [Cache] = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") && !line.hasPrefix("slabinfo") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard words.count >= 4, let active = UInt64(words[1]), let total = UInt64(words[2]),
        let bytes = UInt64(words[3])
      else { continue }
      let name = String(words[0])
      let more = details(name)
      caches.append(
        Cache(
          name: name, aliases: more.aliases, active: active, total: total, objectBytes: bytes,
          isReclaimable: more.isReclaimable))
    }
    self.init(caches: caches)
  }

  /// What /sys/kernel/slab says of a cache.
  public struct Details: Sendable, Hashable {
    public var aliases: [String]
    public var isReclaimable: Bool?

    public init(aliases: [String] = [], isReclaimable: Bool? = nil) {
      self.aliases = aliases
      self.isReclaimable = isReclaimable
    }
  }

  private static let directory = "/sys/kernel/slab/"

  /// Of the running kernel; nil where /proc/slabinfo cannot be read (it takes root).
  public static func read() -> SlabCounts? {
    guard let text = try? ProcFile.text("/proc/slabinfo") else { return nil }
    let names = ProcFile.names(in: directory)
    var groups: [String: [String]] = [:]
    var group: [String: String] = [:]
    // Merged caches are links to one directory with an invented name, ":A-0000128".
    for name in names {
      guard let target = try? ProcFile.link(directory + name) else { continue }
      groups[target, default: []].append(name)
      group[name] = target
    }
    return SlabCounts(slabinfo: text) { name in
      Details(
        aliases: group[name].flatMap { groups[$0] }?.filter { $0 != name }.sorted() ?? [],
        isReclaimable: ProcFile.number(directory + name + "/reclaim_account").map { $0 != 0 })
    }
  }
}

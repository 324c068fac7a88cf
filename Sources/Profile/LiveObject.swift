/// An object that was allocated while drip watched and has not been freed.
public struct LiveObject: Sendable, Hashable {
  /// Where it begins, in the process's memory.
  public var address: UInt64
  /// Bytes as the program asked for them.
  public var size: UInt64
  /// When it was allocated, in units of 2^20 ns since the capture began. A later object at the same address has, by
  /// all odds, another one.
  public var birth: UInt32
  /// The slot of its allocation site, see `SiteCounts.id`.
  public var site: UInt32

  public init(address: UInt64, size: UInt64, birth: UInt32, site: UInt32) {
    self.address = address
    self.size = size
    self.birth = birth
    self.site = site
  }

  /// The first address after it. An object of no bytes is taken to have one, so that it can be pointed to.
  public var end: UInt64 { address &+ Swift.max(size, 1) }

  /// Of each of these sites the `limit` objects that were born first; by site in the order given, the oldest first.
  public static func oldest(of sites: [UInt32], among objects: [LiveObject], limit: Int) -> [LiveObject] {
    var found: [UInt32: [LiveObject]] = [:]
    for site in sites { found[site] = [] }
    for object in objects where found[object.site] != nil { found[object.site]?.append(object) }
    var seen: Set<UInt32> = []
    return sites.filter { seen.insert($0).inserted }.flatMap { site in
      (found[site] ?? []).sorted { ($0.birth, $0.address) < ($1.birth, $1.address) }.prefix(max(limit, 0))
    }
  }
}

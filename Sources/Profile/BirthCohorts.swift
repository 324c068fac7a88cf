/// Outstanding objects of every site by the time of their birth: what survival statistics are made of.
///
/// Time since the attach is cut into bins that all sites share. There are never more than `BirthCohorts.binCount`: when
/// the watch outgrows them, their width doubles and neighbours become one, so that a bin is always a small share of
/// the watch and an object never changes its bin but by such a merge.
public struct BirthCohorts: Sendable, Hashable {
  /// The most bins.
  public static let binCount = 64

  /// What is outstanding of one site, oldest bin first; both lists have `BirthCohorts.bins` elements.
  public struct Row: Sendable, Hashable {
    /// As in `SiteCounts.id`.
    public var site: UInt32
    /// Objects; with sampling those in the sample, not scaled.
    public var objects: [UInt32]
    /// Requested bytes; with sampling scaled to all objects.
    public var bytes: [UInt64]

    public init(site: UInt32, objects: [UInt32], bytes: [UInt64]) {
      self.site = site
      self.objects = objects
      self.bytes = bytes
    }
  }

  /// Seconds that a bin spans. Bin i holds births from i * width (included) to (i + 1) * width (excluded) seconds
  /// after the attach.
  public var width: Double
  /// Bins in use; the last one is not over yet.
  public var bins: Int
  /// Sites that have something outstanding, by ascending id.
  public var rows: [Row]

  public init(width: Double, bins: Int, rows: [Row]) {
    self.width = width
    self.bins = bins
    self.rows = rows
  }

  /// The row of a site; nil if nothing of it is outstanding.
  public func row(of site: UInt32) -> Row? {
    var (low, high) = (0, rows.count)
    while low < high {
      let middle = (low + high) / 2
      if rows[middle].site < site { low = middle + 1 } else { high = middle }
    }
    return low < rows.count && rows[low].site == site ? rows[low] : nil
  }

  /// The narrowest bins of `base` seconds, doubled as often as needed, that hold a watch of `elapsed` seconds.
  public static func width(elapsed: Double, base: Double = 0.5) -> Double {
    var width = base
    while elapsed >= width * Double(binCount) { width *= 2 }
    return width
  }
}

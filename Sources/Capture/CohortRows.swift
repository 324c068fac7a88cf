import CProbes
import Profile

/// Outstanding objects by site and birth, gathered while the live table is read.
///
/// A row is made when a site's first object is met, so that what a poll costs depends on what is there and not on
/// the table's capacity.
struct CohortRows {
  private let sampling: ByteSampling
  /// Start of the watch in table units.
  private let start: UInt32
  /// 2^40 over the units of the narrowest bin; and how often bins have doubled since.
  private let scale: UInt64
  private let doublings: UInt64
  private let last: Int
  private let width: Double

  /// By site slot: its row, or -1.
  private var row: [Int32]
  private var sites: [UInt32] = []
  /// By row and bin.
  private var cells: [Cell] = []

  /// Side by side, so that an object costs one line of the cache.
  private struct Cell {
    var bytes: UInt64 = 0
    var objects: UInt32 = 0
  }

  private static let base = 0.5
  private static let bins = BirthCohorts.binCount

  /// `start` is that of the watch in table units, `elapsed` its age in seconds.
  init(siteCapacity: Int, start: UInt64, elapsed: Double, sampling: ByteSampling) {
    self.sampling = sampling
    self.start = UInt32(truncatingIfNeeded: start)
    width = BirthCohorts.width(elapsed: elapsed, base: Self.base)
    let unit = Double(UInt64(1) << UInt64(DRIP_BIRTH_SHIFT)) / 1e9
    scale = UInt64((unit / Self.base * 0x1p40).rounded())
    doublings = UInt64((width / Self.base).exponent)
    last = min(Int(elapsed / width), Self.bins - 1)
    row = Array(repeating: -1, count: siteCapacity)
  }

  /// The bin of a birth. Bins of twice the width are pairs of the narrower ones, to the unit, so that an object never
  /// changes its bin but by such a merge.
  func bin(_ birth: UInt32) -> Int {
    let since = birth > start ? UInt64(birth &- start) : 0
    return min(Int((since &* scale) >> (40 + doublings)), last)
  }

  /// Adds an object. `site` is below the capacity.
  mutating func add(size: UInt64, site: Int, birth: UInt32) {
    var index = Int(row[site])
    if index < 0 {
      index = sites.count
      row[site] = Int32(index)
      sites.append(UInt32(site))
      cells.append(contentsOf: repeatElement(Cell(), count: last + 1))
    }
    let place = index &* (last &+ 1) &+ bin(birth)
    cells[place].objects &+= 1
    cells[place].bytes &+= sampling.isOn ? sampling.scaledBytes(size) : size
  }

  /// What was gathered.
  var cohorts: BirthCohorts {
    let rows = sites.indices.sorted { sites[$0] < sites[$1] }.map { index in
      let row = cells[index * (last + 1)..<(index + 1) * (last + 1)]
      return BirthCohorts.Row(site: sites[index], objects: row.map(\.objects), bytes: row.map(\.bytes))
    }
    return BirthCohorts(width: width, bins: last + 1, rows: rows)
  }
}

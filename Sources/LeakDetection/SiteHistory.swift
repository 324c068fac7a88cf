import Profile

/// What the detector remembers of all sites: a constant 1.2 KiB of each that has had something outstanding at a poll,
/// in a few flat arrays.
struct SiteHistory: Sendable {
  static let bins = BirthCohorts.binCount

  /// One site.
  struct Site: Sendable {
    var id: UInt32
    var process: Int
    /// When it was not there yet, in seconds after the attach.
    var start: Double
    var allocs: UInt64 = 0
    var frees: UInt64 = 0
    var outstandingBytes: UInt64 = 0
    var outstandingCount: UInt64 = 0
    /// Objects that one in the sample stands for.
    var weight = 1.0
    /// Its place in the arrays; nil as long as nothing of it was outstanding.
    var place: Int?
    /// Objects that appeared in closed bins at the last poll.
    var appeared: UInt32 = 0
    /// Whether it was suspected, bit n at the look n looks ago.
    var suspected: UInt32 = 0
    /// Whether enough had died at an age by then, and whether anything had been freed at all, likewise.
    var matured: UInt32 = 0
    var freed: UInt32 = 0
    /// The poll that saw it last.
    var poll: UInt64 = 0
  }

  private(set) var sites: [UInt32: Site] = [:]
  /// By place and birth bin: outstanding objects and bytes at the last poll.
  private(set) var objects: [UInt32] = []
  private(set) var bytes: [Float] = []
  /// Allocations by time.
  private(set) var births: [Float] = []
  /// Outstanding bytes when the bin ended, or at the last poll in it; nan if no poll was in it.
  private(set) var levels: [Float] = []
  /// Deaths by age, `DeathAges.count` a place.
  private(set) var deaths: [UInt32] = []
  private var free: [Int] = []

  /// Memory of one place, in bytes.
  static var bytesPerSite: Int { bins * 16 + DeathAges.count * 4 + MemoryLayout<Site>.stride }

  subscript(id: UInt32) -> Site? {
    get { sites[id] }
    set { sites[id] = newValue }
  }

  /// A place with nothing in it.
  mutating func makePlace() -> Int {
    if let place = free.popLast() {
      for bin in (place * Self.bins)..<((place + 1) * Self.bins) {
        objects[bin] = 0
        bytes[bin] = 0
        births[bin] = 0
        levels[bin] = .nan
      }
      for age in (place * DeathAges.count)..<((place + 1) * DeathAges.count) { deaths[age] = 0 }
      return place
    }
    let place = objects.count / Self.bins
    objects += Array(repeating: 0, count: Self.bins)
    bytes += Array(repeating: 0, count: Self.bins)
    births += Array(repeating: 0, count: Self.bins)
    levels += Array(repeating: .nan, count: Self.bins)
    deaths += Array(repeating: 0, count: DeathAges.count)
    return place
  }

  /// Forgets one site.
  mutating func forget(_ id: UInt32) {
    if let place = sites.removeValue(forKey: id)?.place { free.append(place) }
  }

  /// Forgets what the poll has not seen: its process is watched no more.
  mutating func forget(notSeenAt poll: UInt64) {
    let gone = sites.values.filter { $0.poll != poll }
    for site in gone { forget(site.id) }
  }

  /// Bins become twice as wide.
  mutating func doubleWidth() {
    for start in stride(from: 0, to: objects.count, by: Self.bins) {
      for bin in 0..<Self.bins {
        let isKept = bin < Self.bins / 2
        let (from, to) = (start + 2 * bin, start + bin)
        objects[to] = isKept ? objects[from] &+ objects[from + 1] : 0
        bytes[to] = isKept ? bytes[from] + bytes[from + 1] : 0
        births[to] = isKept ? births[from] + births[from + 1] : 0
        levels[to] = isKept ? (levels[from + 1].isNaN ? levels[from] : levels[from + 1]) : .nan
      }
    }
  }

  /// Takes over what is outstanding now; `row` is nil if nothing is. What is missing of bins that were closed at the
  /// last poll has died since.
  mutating func update(
    _ site: inout Site, row: BirthCohorts.Row?, closed: Int, ageOfBin: (Int) -> Double
  ) {
    guard let place = site.place else { return }
    let start = place * Self.bins
    var appeared: UInt32 = 0
    for bin in 0..<Self.bins {
      let before = objects[start + bin]
      var now: UInt32 = 0
      var held: UInt64 = 0
      if let row, bin < row.objects.count {
        now = row.objects[bin]
        held = row.bytes[bin]
      }
      if bin < closed, now != before {
        if now > before {
          // realloc moves old objects in, and an object that is entered while the table is read may show the
          // birth of its predecessor there. The latter is right at the next poll, and nobody has died.
          appeared &+= now - before
        } else {
          let excused = min(site.appeared, before - now)
          site.appeared -= excused
          let age = place * DeathAges.count + DeathAges.bucket(ageOfBin(bin))
          let (sum, isTooMany) = deaths[age].addingReportingOverflow(before - now - excused)
          deaths[age] = isTooMany ? .max : sum
        }
      }
      objects[start + bin] = now
      bytes[start + bin] = Float(held)
    }
    site.appeared = appeared
  }

  /// Counts allocations of the time from `from` to `to`, in bins.
  mutating func addBirths(_ count: Double, place: Int, from: Double, to: Double) {
    Spread.add(count, from: from, to: to) { births[place * Self.bins + $0] += Float($1) }
  }

  mutating func setLevel(_ value: UInt64, place: Int, bin: Int) {
    levels[place * Self.bins + bin] = Float(value)
  }

  static func range(_ place: Int) -> Range<Int> { (place * bins)..<((place + 1) * bins) }
  static func deathRange(_ place: Int) -> Range<Int> {
    (place * DeathAges.count)..<((place + 1) * DeathAges.count)
  }
}

/// Counts of a stretch of time, put into bins in proportion to the time.
enum Spread {
  /// `from` and `to` are in bins, with fractions.
  static func add(_ count: Double, from: Double, to: Double, _ body: (Int, Double) -> Void) {
    let most = BirthCohorts.binCount - 1
    let (start, end) = (max(from, 0), max(to, from, 0))
    let (first, last) = (min(Int(start), most), min(Int(end), most))
    guard end > start, first < last else { return body(last, count) }
    for bin in first...last {
      let part = min(end, Double(bin + 1)) - max(start, Double(bin))
      if part > 0 { body(bin, count * part / (end - start)) }
    }
  }
}

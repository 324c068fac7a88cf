public import Profile

/// Tells from a stream of snapshots how fast each site grows. It looks at the later half of the watch only, so
/// that what a program allocates once when it warms up does not count as growth.
///
/// Bounded: at most `capacity` snapshots are kept besides the newest, and of each only the sites that hold
/// something. What lies before the middle of the watch is let go, for the middle only moves on; when the rest is
/// too much, every second one goes and new ones are taken half as often. The middle is so always known to within
/// a small share of the watch, however long it lasts.
public struct GrowthTracker: Sendable {
  private struct Point: Sendable {
    let seconds: Double
    let outstanding: [UInt32: UInt64]
  }

  /// A shorter stretch says nothing about a rate.
  private static let shortest = 1.0
  private let capacity: Int
  /// From the middle of the watch on, at least `spacing` apart.
  private var points: [Point] = []
  private var spacing = 0.0
  private var newest: Point?

  /// A tracker that has seen nothing. `capacity` is at least 4.
  public init(capacity: Int = 64) { self.capacity = max(capacity, 4) }

  /// How many snapshots are kept, the newest included.
  public var count: Int { points.count + (newest == nil ? 0 : 1) }

  /// Adds a snapshot; one that is not later than the last is left out.
  public mutating func add(_ snapshot: Snapshot) {
    let now = snapshot.elapsedSeconds
    guard now.isFinite, newest.map({ now > $0.seconds }) ?? true else { return }
    if let newest, isDue(newest) { points.append(newest) }
    var outstanding: [UInt32: UInt64] = [:]
    for site in snapshot.sites where site.outstandingBytes > 0 {
      outstanding[site.id] = site.outstandingBytes
    }
    newest = Point(seconds: now, outstanding: outstanding)
    forget(before: now / 2)
    if points.count > capacity { thin() }
  }

  /// Bytes per second by which each site's outstanding memory changed over the later half of the watch. Empty
  /// if the watch was too short to tell.
  public func growthBytesPerSecond() -> [UInt32: Double] {
    guard let newest, let middle = middle(of: newest.seconds) else { return [:] }
    let span = newest.seconds - middle.seconds
    guard span >= Self.shortest else { return [:] }
    var result: [UInt32: Double] = [:]
    for (site, bytes) in newest.outstanding {
      result[site] = (Double(bytes) - Double(middle.outstanding[site] ?? 0)) / span
    }
    for (site, bytes) in middle.outstanding where newest.outstanding[site] == nil {
      result[site] = -Double(bytes) / span
    }
    return result
  }

  /// The growth of one site; nil if the watch was too short to tell or the site held nothing in it.
  public func growthBytesPerSecond(site: UInt32) -> Double? { growthBytesPerSecond()[site] }

  private func middle(of seconds: Double) -> Point? {
    points.min { ($0.seconds - seconds / 2).magnitude < ($1.seconds - seconds / 2).magnitude }
  }

  private func isDue(_ point: Point) -> Bool {
    guard let last = points.last else { return true }
    // Readings are never quite on time; a hair early must not cost every second one.
    return point.seconds - last.seconds >= spacing * 0.9
  }

  /// Lets go of what can no more be nearest to the middle; one point before it may still be.
  private mutating func forget(before middle: Double) {
    let keep = points.lastIndex { $0.seconds <= middle } ?? 0
    points.removeFirst(keep)
  }

  private mutating func thin() {
    points = points.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    if let first = points.first, let last = points.last, points.count > 1 {
      spacing = (last.seconds - first.seconds) / Double(points.count - 1)
    }
  }
}

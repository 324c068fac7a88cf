public import Profile

/// Tells from a stream of snapshots how fast each site grows. It looks at the later half of the watch only, so
/// that what a program allocates once when it warms up does not count as growth.
///
/// Bounded: at most `capacity` snapshots are kept; when they are full every second one goes.
public struct GrowthTracker: Sendable {
  private struct Point: Sendable {
    let seconds: Double
    let outstanding: [UInt32: UInt64]
  }

  /// A shorter stretch says nothing about a rate.
  private static let shortest = 0.5
  private let capacity: Int
  private var points: [Point] = []

  public init(capacity: Int = 64) { self.capacity = max(capacity, 4) }

  /// How many snapshots are kept.
  public var count: Int { points.count }

  /// Adds a snapshot; one that is not later than the last is left out.
  public mutating func add(_ snapshot: Snapshot) {
    if let last = points.last, snapshot.elapsedSeconds <= last.seconds { return }
    if points.count >= capacity {
      points = points.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    }
    var outstanding: [UInt32: UInt64] = [:]
    outstanding.reserveCapacity(snapshot.sites.count)
    for site in snapshot.sites where site.outstandingBytes > 0 { outstanding[site.id] = site.outstandingBytes }
    points.append(Point(seconds: snapshot.elapsedSeconds, outstanding: outstanding))
  }

  /// Bytes per second by which each site's outstanding memory changed over the later half of the watch. Empty
  /// if the watch was too short to tell.
  public func growthBytesPerSecond() -> [UInt32: Double] {
    guard let last = points.last,
      let middle = points.min(by: {
        ($0.seconds - last.seconds / 2).magnitude < ($1.seconds - last.seconds / 2).magnitude
      }), last.seconds - middle.seconds >= Self.shortest
    else { return [:] }
    let span = last.seconds - middle.seconds
    var result: [UInt32: Double] = [:]
    for (site, bytes) in last.outstanding {
      result[site] = (Double(bytes) - Double(middle.outstanding[site] ?? 0)) / span
    }
    for (site, bytes) in middle.outstanding where last.outstanding[site] == nil {
      result[site] = -Double(bytes) / span
    }
    return result
  }
}

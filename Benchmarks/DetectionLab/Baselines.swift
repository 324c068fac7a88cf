import Glibc
public import Profile

/// Outstanding bytes of one site over time, at polls.
public struct GrowthSeries: Sendable {
  public private(set) var seconds: [Double] = []
  public private(set) var bytes: [Double] = []

  public init() {}

  public mutating func append(_ seconds: Double, _ bytes: Double) {
    self.seconds.append(seconds)
    self.bytes.append(bytes)
  }

  /// The value at a time: that of the last poll before it, 0 before the first.
  public func value(at time: Double) -> Double {
    var low = 0
    var high = seconds.count
    while low < high {
      let middle = (low + high) / 2
      if seconds[middle] <= time { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? bytes[low - 1] : 0
  }

  /// `count` points, evenly spread from the attach until a time.
  public func points(until end: Double, count: Int = 64) -> [Double] {
    (1...count).map { value(at: end * Double($0) / Double(count)) }
  }
}

/// What other tools do, as pure functions.
public enum Baselines {
  /// The sites with the most bytes among those that hold any: what bcc's memleak prints, which counts only what is
  /// older than half a second. Heaviest first.
  public static func topByAge(_ sites: [SiteCounts], count: Int = 10) -> [UInt32] {
    top(sites.map { ($0.id, Double($0.agedBytes)) }, count)
  }

  /// The sites that grew most between two snapshots, fastest first.
  public static func topByDifference(
    _ before: [UInt32: Double], _ after: [UInt32: Double], count: Int = 10
  ) -> [UInt32] {
    top(after.map { ($0.key, $0.value - (before[$0.key] ?? 0)) }, count)
  }

  private static func top(_ values: [(UInt32, Double)], _ count: Int) -> [UInt32] {
    let ordered = values.filter { $0.1 > 0 }.sorted { $0.1 != $1.1 ? $0.1 > $1.1 : $0.0 < $1.0 }
    return ordered.prefix(count).map(\.0)
  }

  /// A line by least squares through evenly spaced points: its slope by point, and the share of the variance that it
  /// explains. A constant has neither.
  public static func regression(_ points: [Double]) -> (slope: Double, rSquared: Double) {
    let n = Double(points.count)
    guard points.count > 2 else { return (0, 0) }
    let middle = (n - 1) / 2
    let mean = points.reduce(0, +) / n
    var (xx, xy, yy) = (0.0, 0.0, 0.0)
    for (index, y) in points.enumerated() {
      let x = Double(index) - middle
      xx += x * x
      xy += x * (y - mean)
      yy += (y - mean) * (y - mean)
    }
    guard yy > 0 else { return (0, 0) }
    return (xy / xx, xy * xy / (xx * yy))
  }

  /// The test of Mann ("Nonparametric tests against trend", Econometrica 13, 1945) and Kendall: how many standard
  /// errors the number of rising pairs lies above that of falling ones; the variance is corrected for ties.
  public static func mannKendall(_ points: [Double]) -> Double {
    let n = points.count
    guard n > 2 else { return 0 }
    var s = 0
    for later in 1..<n {
      for earlier in 0..<later {
        s += points[later] > points[earlier] ? 1 : points[later] < points[earlier] ? -1 : 0
      }
    }
    func term(_ t: Double) -> Double { t * (t - 1) * (2 * t + 5) }
    var ties: [Double: Int] = [:]
    for point in points { ties[point, default: 0] += 1 }
    let variance = (term(Double(n)) - ties.values.map { term(Double($0)) }.sorted().reduce(0, +)) / 18
    guard variance > 0, s != 0 else { return 0 }
    return Double(s - s.signum()) / variance.squareRoot()
  }
}

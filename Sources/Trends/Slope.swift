import Glibc

/// How fast a row of marks rises, whatever a few of them do.
///
/// The rate is the median of the slopes between all pairs; its interval takes the slopes whose ranks lie 1.96 standard
/// deviations of Kendall's statistic from the middle (P. K. Sen, "Estimates of the regression coefficient based on
/// Kendall's tau", JASA 63, 1968). That holds for errors that are independent of each other, which a process's memory
/// is not: it is a measure of how straight the rise is, and `Rule` asks for more.
struct Slope: Sendable, Hashable {
  /// Bytes per second, and the 95 % interval.
  var bytesPerSecond: Double
  var low: Double
  var high: Double
  /// The pairs that rise less those that fall, of all: Kendall's tau, -1 to 1.
  var tau: Double

  /// Nil of less than 4 marks.
  init?(_ marks: ArraySlice<LowWaterMarks.Mark>) {
    let count = marks.count
    guard count >= 4 else { return nil }
    var slopes: [Double] = []
    slopes.reserveCapacity(count * (count - 1) / 2)
    var sign = 0
    for later in marks.indices.dropFirst() {
      for earlier in marks.startIndex..<later {
        let time = Double(marks[later].seconds - marks[earlier].seconds)
        guard time > 0 else { continue }
        let change = marks[later].bytes - marks[earlier].bytes
        sign += change > 0 ? 1 : change < 0 ? -1 : 0
        slopes.append(change / time)
      }
    }
    guard slopes.count >= 6 else { return nil }
    slopes.sort()
    let pairs = Double(slopes.count)
    let n = Double(count)
    let reach = 1.959964 * (n * (n - 1) * (2 * n + 5) / 18).squareRoot()
    let below = max(Int(((pairs - reach) / 2).rounded(.down)), 0)
    let above = min(Int(((pairs + reach) / 2).rounded(.up)), slopes.count - 1)
    let middle = slopes.count / 2
    bytesPerSecond = slopes.count % 2 == 1 ? slopes[middle] : (slopes[middle - 1] + slopes[middle]) / 2
    low = slopes[below]
    high = slopes[above]
    tau = Double(sign) / pairs
  }
}

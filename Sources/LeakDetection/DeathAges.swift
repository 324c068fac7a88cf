import Glibc

/// Where deaths are counted by the age that was reached: half octaves from half a second to six days.
enum DeathAges {
  static let count = 40
  private static let first = 0.5

  /// The bucket of an age in seconds. Younger ones are in the first, older ones in the last.
  static func bucket(_ age: Double) -> Int {
    guard age > first else { return 0 }
    return Int(min(2 * log2(age / first), Double(count - 1)))
  }

  /// How many died at this age or later. The bucket that the age is in counts by the share of it, on the
  /// logarithmic scale, that lies beyond.
  static func deaths(in buckets: ArraySlice<UInt32>, from age: Double) -> Double {
    let position = min(max(2 * log2(max(age, first) / first), 0), Double(count - 1))
    let bucket = Int(position)
    let start = buckets.startIndex
    var sum = Double(buckets[start + bucket]) * (1 - (position - Double(bucket)))
    for later in (bucket + 1)..<count where later < count { sum += Double(buckets[start + later]) }
    return sum
  }
}

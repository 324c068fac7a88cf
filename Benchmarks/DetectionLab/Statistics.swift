import Glibc

/// A share of cases, with the interval that it is known to.
public struct Proportion: Sendable, Hashable {
  public var hits: Int
  public var of: Int

  public init(_ hits: Int = 0, of: Int = 0) {
    self.hits = hits
    self.of = of
  }

  public mutating func count(_ hit: Bool) {
    hits += hit ? 1 : 0
    of += 1
  }

  /// Nil of no cases.
  public var value: Double? { of > 0 ? Double(hits) / Double(of) : nil }

  /// The 95 % interval of Wilson ("Probable inference, the law of succession, and statistical inference", JASA 22,
  /// 1927).
  public var interval: ClosedRange<Double> {
    guard of > 0 else { return 0...1 }
    let z = 1.959964
    let n = Double(of)
    let p = Double(hits) / n
    let middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    let reach = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
    return max(0, middle - reach)...min(1, middle + reach)
  }

  public static func + (a: Proportion, b: Proportion) -> Proportion {
    Proportion(a.hits + b.hits, of: a.of + b.of)
  }
}

public enum Ranks {
  /// The probability that a value of the first list comes before one of the second, ties counting half: the area
  /// under the ROC curve. Nil if a list is empty.
  public static func area<Value>(
    _ first: [Value], _ second: [Value], isBefore: (Value, Value) -> Bool
  ) -> Double? {
    guard !first.isEmpty, !second.isEmpty else { return nil }
    var twice = 0
    for a in first {
      for b in second { twice += isBefore(a, b) ? 2 : isBefore(b, a) ? 0 : 1 }
    }
    return Double(twice) / Double(2 * first.count * second.count)
  }

  /// The middle of a list, the lower one of two; nil if it is empty.
  public static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[(values.count - 1) / 2]
  }
}

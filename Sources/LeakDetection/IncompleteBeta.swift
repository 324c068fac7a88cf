import Glibc

/// The regularised incomplete beta function, which the survival test is made of.
enum IncompleteBeta {
  /// I_x(a, b) for a, b > 0 and x in 0...1: the probability that a variable of the distribution Beta(a, b) is at
  /// most x. Good to about 1e-12 for a and b up to 1e6; nan where it is not defined.
  ///
  /// By the continued fraction of DLMF 8.17.22, evaluated with the method of Lentz, on the side of the mean where
  /// it converges fast (DLMF 8.17.4 for the other one).
  static func regularised(_ x: Double, _ a: Double, _ b: Double) -> Double {
    guard a > 0, b > 0, a.isFinite, b.isFinite, x >= 0, x <= 1 else { return .nan }
    if x == 0 || x == 1 { return x }
    // Both tails from their own side: neither is lost in the rounding of 1 less the other.
    if x > (a + 1) / (a + b + 2) { return 1 - tail(1 - x, b, a) }
    return tail(x, a, b)
  }

  /// 1 - I_x(a, b), precise where that is tiny.
  static func complement(_ x: Double, _ a: Double, _ b: Double) -> Double { regularised(1 - x, b, a) }

  private static func tail(_ x: Double, _ a: Double, _ b: Double) -> Double {
    let front = logGamma(a + b) - logGamma(a) - logGamma(b) + a * log(x) + b * log1p(-x)
    return min(exp(front) / a * fraction(x, a, b), 1)
  }

  private static func fraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
    let tiny = 1e-300
    func safe(_ value: Double) -> Double { value.magnitude < tiny ? tiny : value }
    var c = 1.0
    var d = 1 / safe(1 - (a + b) * x / (a + 1))
    var result = d
    // It takes about the square root of the larger parameter.
    for index in 1...5000 {
      let m = Double(index)
      let even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
      d = 1 / safe(1 + even * d)
      c = safe(1 + even / c)
      result *= d * c
      let odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
      d = 1 / safe(1 + odd * d)
      c = safe(1 + odd / c)
      let step = d * c
      result *= step
      if (step - 1).magnitude < 1e-15 { break }
    }
    return result
  }

  /// The logarithm of the gamma function of x > 0: Stirling's series (DLMF 5.11.1) from 10 on, the recurrence below.
  /// The C library's would do, but for a global that it writes to.
  static func logGamma(_ x: Double) -> Double {
    var x = x
    var product = 1.0
    while x < 10 {
      product *= x
      x += 1
    }
    let inverse = 1 / (x * x)
    let series =
      (1.0 / 12 - inverse * (1.0 / 360 - inverse * (1.0 / 1260 - inverse * (1.0 / 1680 - inverse / 1188))))
      / x
    return (x - 0.5) * log(x) - x + 0.5 * log(2 * Double.pi) + series - log(product)
  }
}

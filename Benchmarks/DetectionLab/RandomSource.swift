import Glibc
import Profile

/// Reproducible random numbers: the same sequence for the same seed, on every machine. The generator is SplitMix64
/// (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
public struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// A source of its own for one of many parts, so that a change to one part leaves the others as they were.
  public init(seed: UInt64, part: UInt64) {
    var mixer = RandomSource(seed: seed ^ (part &+ 1) &* 0xd134_2543_de82_ef95)
    state = mixer.next()
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Evenly from the open interval between 0 and 1.
  public mutating func unit() -> Double { (Double(next() >> 12) + 0.5) * 0x1p-52 }

  /// Whether something of probability p happens.
  public mutating func chance(_ p: Double) -> Bool { unit() < p }

  /// Evenly from 0 until `limit`, which is above 0.
  public mutating func below(_ limit: Int) -> Int { Int(unit() * Double(limit)) }

  public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

  /// A number whose logarithm is evenly spread.
  public mutating func spread(_ low: Double, _ high: Double) -> Double { low * pow(high / low, unit()) }

  public mutating func exponential(mean: Double) -> Double { -log(unit()) * mean }

  /// By the polar method's older brother (Box and Muller).
  public mutating func normal() -> Double { (-2 * log(unit())).squareRoot() * cos(2 * .pi * unit()) }

  public mutating func logNormal(median: Double, sigma: Double) -> Double { median * exp(sigma * normal()) }

  public mutating func pareto(least: Double, alpha: Double) -> Double { least * pow(unit(), -1 / alpha) }

  public mutating func weibull(scale: Double, shape: Double) -> Double {
    scale * pow(-log(unit()), 1 / shape)
  }

  /// Exact below a mean of 30 (products of uniform numbers), a rounded normal number from there on.
  public mutating func poisson(_ mean: Double) -> Int {
    guard mean > 0 else { return 0 }
    guard mean < 30 else { return max(0, Int((mean + mean.squareRoot() * normal()).rounded())) }
    let limit = exp(-mean)
    var count = 0
    var product = unit()
    while product > limit {
      count += 1
      product *= unit()
    }
    return count
  }

  /// How many of n happen, each with probability p. Exact where few are expected (gaps between successes are
  /// geometric), a rounded normal number where at least 20 happen and 20 do not.
  public mutating func binomial(_ n: Int, _ p: Double) -> Int {
    guard n > 0, p > 0 else { return 0 }
    guard p < 1 else { return n }
    guard p <= 0.5 else { return n - binomial(n, 1 - p) }
    let mean = Double(n) * p
    guard mean < 20 else {
      return min(n, max(0, Int((mean + (mean * (1 - p)).squareRoot() * normal()).rounded())))
    }
    let scale = 1 / log1p(-p)
    var count = 0
    var position = (log(unit()) * scale).rounded(.down)
    while position < Double(n) {
      count += 1
      position += 1 + (log(unit()) * scale).rounded(.down)
    }
    return count
  }
}

extension ByteSampling {
  /// How many of `count` allocations of a size are kept.
  func kept(of count: Int, size: Int, _ random: inout RandomSource) -> Int {
    isOn ? random.binomial(count, probability(UInt64(size))) : count
  }
}

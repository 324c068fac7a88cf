/// Objects and bytes of a population of which only a sample is known, estimated from the sample.
///
/// The estimator is that of Horvitz and Thompson ("A generalization of sampling without replacement from a finite
/// universe", JASA 47, 1952): each kept object counts 1 / p times. Objects are kept independently of each other,
/// so the variance of a sum of x is estimated without bias by the sum of (1 - p) / p² · x² over the kept ones.
public struct SampledTotal: Sendable, Hashable {
  /// A sum, and how sure it is.
  public struct Estimate: Sendable, Hashable {
    /// Unbiased.
    public var value: Double
    /// The square root of the estimated variance. 0 if everything was kept.
    public var standardError: Double
    /// The sum over the kept ones alone, which is certain: the population has no less.
    public var kept: Double

    public init(value: Double, standardError: Double, kept: Double) {
      self.value = value
      self.standardError = standardError
      self.kept = kept
    }

    /// The 95 % confidence interval, by the normal approximation, cut at what is certain.
    ///
    /// It is good for bytes from some twenty kept objects on, and for counts of objects of about one size. Counts
    /// of very mixed sizes hang on the few smallest objects that were kept, and their interval is too narrow: with
    /// sizes from 1 byte to 16 KiB and a distance of 4 KiB it held the truth in 64 % of simulated cases, that
    /// of the bytes in 95 %. Of no objects at all, see `ByteSampling.mostBytesUnseen`.
    public var interval: ClosedRange<Double> {
      let reach = 1.959964 * standardError
      return max(value - reach, min(kept, value))...value + reach
    }
  }

  /// Objects that were kept.
  public private(set) var kept: UInt64 = 0
  private var keptBytes = 0.0
  private var objectSum = 0.0
  private var byteSum = 0.0
  private var objectVariance = 0.0
  private var byteVariance = 0.0

  public init() {}

  /// Adds `count` kept objects of a size in bytes.
  public mutating func add(size: UInt64, count: UInt64 = 1, _ sampling: ByteSampling) {
    let weight = sampling.weight(size)
    let (count, bytes) = (Double(count), Double(size))
    let variance = weight * (weight - 1) * count
    kept += UInt64(count)
    keptBytes += bytes * count
    objectSum += weight * count
    byteSum += weight * bytes * count
    objectVariance += variance
    byteVariance += variance * bytes * bytes
  }

  public var objects: Estimate {
    Estimate(value: objectSum, standardError: objectVariance.squareRoot(), kept: Double(kept))
  }

  public var bytes: Estimate {
    Estimate(value: byteSum, standardError: byteVariance.squareRoot(), kept: keptBytes)
  }
}

import Profile
import Testing

@Suite("totals of samples")
struct SampledTotalTests {
  /// One population, sampled again and again with a generator of a fixed seed: the mean of the estimates must be
  /// the truth, the estimated variance must be theirs, and 95 % of the intervals must hold the truth.
  @Test("unbiased, with the right error", arguments: [512, 4096] as [UInt64], [true, false])
  func simulation(distance: UInt64, isMixed: Bool) throws {
    let sampling = try #require(ByteSampling(distance: distance))
    // Sizes from 1 byte to 16 KiB: some always kept, most seldom. Or all of one size.
    var random = SplitMix(state: distance)
    let population: [UInt64] = (0..<2000).map { _ in
      guard isMixed else { return distance / 8 }
      let bits = UInt64.random(in: 0...14, using: &random)
      return UInt64.random(in: (1 << bits) / 2...1 << bits, using: &random)
    }
    let truth = (objects: Double(population.count), bytes: Double(population.reduce(0, +)))
    let rounds = 1500
    var sums = (objects: 0.0, bytes: 0.0, integers: 0.0, integerBytes: 0.0)
    var squares = (objects: 0.0, bytes: 0.0)
    var variances = (objects: 0.0, bytes: 0.0)
    var covered = (objects: 0, bytes: 0)
    for _ in 0..<rounds {
      var total = SampledTotal()
      for size in population
      where sampling.keeps(size, draw: UInt32.random(in: .min ... .max, using: &random)) {
        total.add(size: size, sampling)
        sums.integers += Double(sampling.scaledCount(size)) / Double(ByteSampling.countUnit)
        sums.integerBytes += Double(sampling.scaledBytes(size))
      }
      sums.objects += total.objects.value
      sums.bytes += total.bytes.value
      squares.objects += (total.objects.value - truth.objects) * (total.objects.value - truth.objects)
      squares.bytes += (total.bytes.value - truth.bytes) * (total.bytes.value - truth.bytes)
      variances.objects += total.objects.standardError * total.objects.standardError
      variances.bytes += total.bytes.standardError * total.bytes.standardError
      if total.objects.interval.contains(truth.objects) { covered.objects += 1 }
      if total.bytes.interval.contains(truth.bytes) { covered.bytes += 1 }
    }
    let count = Double(rounds)
    // Four standard errors of the mean.
    let slack = (
      objects: 4 * (squares.objects / count / count).squareRoot(),
      bytes: 4 * (squares.bytes / count / count).squareRoot()
    )
    #expect(abs(sums.objects / count - truth.objects) < slack.objects)
    #expect(abs(sums.bytes / count - truth.bytes) < slack.bytes)
    #expect(slack.bytes < truth.bytes * 0.02)
    // The integer sums of BPF are those of the same samples.
    #expect(abs(sums.integers / sums.objects - 1) < 1 / 131_072.0)
    #expect(abs(sums.integerBytes / sums.bytes - 1) < 1 / 131_072.0 + 0.5 / Double(distance))
    #expect(abs(variances.objects / squares.objects - 1) < 0.15)
    #expect(abs(variances.bytes / squares.bytes - 1) < 0.15)
    #expect((0.93...0.97).contains(Double(covered.bytes) / count))
    // Counts of mixed sizes hang on the few smallest objects, each of which stands for thousands.
    #expect((isMixed ? 0.6...0.97 : 0.93...0.97).contains(Double(covered.objects) / count))
  }

  @Test("by hand")
  func byHand() throws {
    let sampling = try #require(ByteSampling(distance: 1000))
    var total = SampledTotal()
    #expect(total.bytes.value == 0 && total.bytes.interval == 0...0)
    total.add(size: 100, count: 3, sampling)
    let weight = sampling.weight(100)
    #expect(abs(weight - 10.508) < 0.01)
    #expect(total.kept == 3 && total.objects.kept == 3 && total.bytes.kept == 300)
    #expect(abs(total.objects.value - 3 * weight) < 1e-9 && abs(total.bytes.value - 300 * weight) < 1e-6)
    // (1 - p) / p² · x², three times.
    let p = 1 / weight
    #expect(abs(total.bytes.standardError - (3 * (1 - p) / (p * p) * 10_000).squareRoot()) < 1e-6)
    #expect(total.bytes.interval.lowerBound == 300)
    #expect(
      abs(total.bytes.interval.upperBound - total.bytes.value - 1.959964 * total.bytes.standardError) < 1e-9)
    var one = SampledTotal()
    for _ in 0..<3 { one.add(size: 100, sampling) }
    #expect(abs(one.bytes.standardError - total.bytes.standardError) < 1e-9)
  }

  @Test("without sampling, numbers are certain")
  func off() throws {
    let sampling = try #require(ByteSampling(distance: 0))
    var total = SampledTotal()
    for size in [0, 1, 1 << 33] as [UInt64] { total.add(size: size, count: 2, sampling) }
    #expect(total.objects == SampledTotal.Estimate(value: 6, standardError: 0, kept: 6))
    #expect(total.bytes.interval == Double(2 + 2 << 33)...Double(2 + 2 << 33))
  }

  /// As many bytes as may go unseen are unseen in one of twenty cases, whatever the sizes.
  @Test("what may hide where nothing was kept", arguments: [16, 1000, 100_000] as [UInt64])
  func unseen(size: UInt64) throws {
    let sampling = try #require(ByteSampling(distance: 100_000))
    let objects = sampling.mostBytesUnseen / Double(size)
    var none = 1.0
    for _ in 0..<Int(objects.rounded()) { none *= 1 - sampling.probability(size) }
    #expect(abs(none - 0.05) < 0.02)
  }
}

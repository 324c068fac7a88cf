import Testing

@testable import DetectionLab

@Suite("random numbers")
struct RandomSourceTests {
  /// Mean and variance of a law, over many draws.
  private func moments(_ draw: (inout RandomSource) -> Double) -> (mean: Double, variance: Double) {
    var random = RandomSource(seed: 42)
    let values = (0..<100_000).map { _ in draw(&random) }
    let mean = values.reduce(0, +) / Double(values.count)
    return (mean, values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count))
  }

  @Test("the first numbers of SplitMix64 are those of its authors' program")
  func known() {
    var random = RandomSource(seed: 1_234_567)
    let first: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
    ]
    #expect((0..<3).map { _ in random.next() } == first)
  }

  @Test(
    "counts of arrivals have the mean and the variance of Poisson's law",
    arguments: [0.01, 1, 12, 29, 31, 500])
  func poisson(mean: Double) {
    let found = moments { Double($0.poisson(mean)) }
    #expect((found.mean - mean).magnitude < 5 * (mean / 100_000).squareRoot())
    #expect((found.variance / mean - 1).magnitude < 0.05)
  }

  @Test(
    "counts of successes have the mean and the variance of the binomial law",
    arguments: [(1, 0.3), (10, 0.5), (40, 0.9), (100, 0.01), (1000, 0.019), (1000, 0.4), (100_000, 0.001)])
  func binomial(n: Int, p: Double) {
    let found = moments { Double($0.binomial(n, p)) }
    let (mean, variance) = (Double(n) * p, Double(n) * p * (1 - p))
    #expect((found.mean - mean).magnitude < 5 * (variance / 100_000).squareRoot())
    #expect((found.variance / variance - 1).magnitude < 0.05)
  }

  @Test("no success and no failure where there can be none")
  func bounds() {
    var random = RandomSource(seed: 1)
    #expect(random.binomial(10, 0) == 0)
    #expect(random.binomial(10, 1) == 10)
    #expect(random.binomial(0, 0.5) == 0)
    #expect(random.poisson(0) == 0)
    for _ in 0..<10_000 {
      #expect((0...50).contains(random.binomial(50, 0.5)))
      let unit = random.unit()
      #expect(unit > 0 && unit < 1)
    }
  }

  @Test("lifetimes have the medians of their laws")
  func lifetimes() {
    func median(_ draw: (inout RandomSource) -> Double) -> Double {
      var random = RandomSource(seed: 7)
      return (0..<20_001).map { _ in draw(&random) }.sorted()[10_000]
    }
    #expect((median { $0.exponential(mean: 10) } / 6.931 - 1).magnitude < 0.05)
    #expect((median { $0.logNormal(median: 30, sigma: 1) } / 30 - 1).magnitude < 0.05)
    #expect((median { $0.pareto(least: 2, alpha: 1.5) } / 3.175 - 1).magnitude < 0.05)
    #expect((median { $0.weibull(scale: 10, shape: 0.5) } / 4.805 - 1).magnitude < 0.08)
    #expect((median { $0.spread(1, 100) } / 10 - 1).magnitude < 0.08)
    #expect(median { $0.normal() }.magnitude < 0.05)
  }
}

import Profile
import Testing

@testable import DetectionLab

@Suite("baselines and statistics")
struct BaselineTests {
  @Test("a line is explained whole, noise is not, a constant has no slope")
  func regression() {
    let line = Baselines.regression((0..<64).map { 3 + 2 * Double($0) })
    #expect((line.slope - 2).magnitude < 1e-12)
    #expect((line.rSquared - 1).magnitude < 1e-12)
    #expect(Baselines.regression(Array(repeating: 5, count: 64)) == (0, 0))
    // By hand: means 2 and 3, Sxx = 2, Sxy = 2, Syy = 6.
    let three = Baselines.regression([2, 5, 4].map(Double.init))
    #expect((three.slope - 1).magnitude < 1e-12)
    #expect((three.rSquared - 3.0 / 7).magnitude < 1e-12)
    #expect(Baselines.regression([1, 2]) == (0, 0))
    #expect(Baselines.regression((0..<64).map { -Double($0) }).slope < 0)
  }

  @Test("Mann–Kendall's z: by hand for five points, with and without ties")
  func mannKendall() {
    // S = 10 of 10 pairs, variance 5·4·15/18 = 16.67: (10 - 1) / 4.082.
    #expect((Baselines.mannKendall([1, 2, 3, 4, 5]) - 2.2045).magnitude < 1e-3)
    #expect((Baselines.mannKendall([5, 4, 3, 2, 1]) + 2.2045).magnitude < 1e-3)
    // One tie: S = 9, variance (300 - 18) / 18 = 15.67: 8 / 3.958.
    #expect((Baselines.mannKendall([1, 2, 2, 3, 4]) - 2.0212).magnitude < 1e-3)
    #expect(Baselines.mannKendall([7, 7, 7, 7]) == 0)
    #expect(Baselines.mannKendall([1, 2]) == 0)
  }

  @Test("top ten by age: heaviest first, what holds nothing is left out, what is young does not count")
  func age() {
    func site(_ id: UInt32, aged: UInt64) -> SiteCounts {
      SiteCounts(
        id: id, process: 0, allocs: 5, frees: 1, allocatedBytes: 9000, freedBytes: 10, agedBytes: aged)
    }
    let sites = [site(1, aged: 5), site(2, aged: 0), site(3, aged: 9), site(4, aged: 5)]
    #expect(Baselines.topByAge(sites) == [3, 1, 4])
    #expect(Baselines.topByAge(sites, count: 2) == [3, 1])
  }

  @Test("difference: fastest first, what shrinks or is gone is left out")
  func difference() {
    let (before, after) = ([UInt32(1): 10.0, 2: 10, 3: 10], [UInt32(1): 11.0, 2: 5, 4: 100])
    #expect(Baselines.topByDifference(before, after) == [4, 1])
    #expect(Baselines.topByDifference(before, after, count: 1) == [4])
  }

  @Test("a series is read at the last poll before a time")
  func series() {
    var series = GrowthSeries()
    #expect(series.value(at: 10) == 0)
    series.append(5, 100)
    series.append(10, 200)
    #expect(series.value(at: 4.9) == 0)
    #expect(series.value(at: 5) == 100)
    #expect(series.value(at: 9.9) == 100)
    #expect(series.value(at: 99) == 200)
    #expect(series.points(until: 10, count: 4) == [0, 100, 100, 200])
  }

  @Test("Wilson's interval, against published values")
  func wilson() {
    // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method 3.
    let cases: [(Int, Int, Double, Double)] = [
      (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718),
    ]
    for (hits, of, low, high) in cases {
      let interval = Proportion(hits, of: of).interval
      #expect((interval.lowerBound - low).magnitude < 1e-4)
      #expect((interval.upperBound - high).magnitude < 1e-4)
    }
    #expect(Proportion().value == nil)
    #expect(Proportion().interval == 0...1)
    var counted = Proportion(1, of: 2)
    counted.count(true)
    counted.count(false)
    #expect(counted == Proportion(2, of: 4))
    #expect(Proportion(1, of: 2) + Proportion(1, of: 3) == Proportion(2, of: 5))
  }

  @Test("the area under the curve: ties count half")
  func area() {
    #expect(Ranks.area([3, 4], [1, 2], isBefore: >) == 1)
    #expect(Ranks.area([1], [1], isBefore: >) == 0.5)
    #expect(Ranks.area([1, 3], [2, 3], isBefore: >) == 0.375)
    #expect(Ranks.area([Int](), [1], isBefore: >) == nil)
    #expect(Ranks.median([5, 1, 3]) == 3)
    #expect(Ranks.median([]) == nil)
  }
}

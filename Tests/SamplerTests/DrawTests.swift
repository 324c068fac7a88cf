import CSampler
import Foundation
import Testing

/// When samples are due, and what they stand for. The seeds are fixed: each test gives the same figures every time.
@Suite("sampler draws")
struct DrawTests {
  @Test(
    "distances are exponential: mean, deviation and every tenth",
    arguments: [1000, 4096, 524_288] as [UInt64])
  func distribution(mean: UInt64) {
    let count = 400_000
    var state: UInt64 = 42
    var sum = 0.0
    var squares = 0.0
    var tenths = [Int](repeating: 0, count: 10)
    for _ in 0..<count {
      let distance = drip_draw(&state, mean)
      #expect(distance >= 1)
      sum += Double(distance)
      squares += Double(distance) * Double(distance)
      tenths[min(9, Int((1 - exp(-Double(distance) / Double(mean))) * 10))] += 1
    }
    let average = sum / Double(count)
    let deviation = (squares / Double(count) - average * average).squareRoot()
    let expected = Double(mean) + 0.5  // rounded up
    // Five standard errors: that of the mean is mean / sqrt(count), that of the deviation sqrt(2) times as large.
    let error = Double(mean) / Double(count).squareRoot()
    #expect(abs(average - expected) < 5 * error, "\(average)")
    #expect(abs(deviation - Double(mean)) < 5 * 1.4143 * error, "\(deviation)")
    let share = (Double(count) * 0.1 * 0.9).squareRoot()
    for (tenth, hits) in tenths.enumerated() {
      // Whole numbers fall upon the borders of the tenths: at most one distance wide.
      let width = 5 * share + Double(count) / Double(mean)
      #expect(abs(Double(hits) - Double(count) / 10) < width, "tenth \(tenth): \(hits)")
    }
  }

  @Test("the first bytes have a sample with the stated probability, to the byte")
  func firstBytes() {
    let count = 400_000
    var state: UInt64 = 9
    var within = [Int](repeating: 0, count: 11)
    for _ in 0..<count {
      for size in Int(min(11, drip_draw(&state, 4)))..<11 { within[size] += 1 }
    }
    for size in 1...10 {
      let chance = -expm1(-Double(size) / 4)
      let error = (Double(count) * chance * (1 - chance)).squareRoot()
      #expect(abs(Double(within[size]) - Double(count) * chance) < 5 * error, "\(size): \(within[size])")
    }
  }

  @Test("the largest mean and the smallest are drawn without overflow")
  func extremes() {
    var state: UInt64 = 7
    for _ in 0..<100_000 {
      let large = drip_draw(&state, UInt64(DRIP_SAMPLE_LARGEST))
      #expect(large >= 1 && large < 1 << 63)
      let small = drip_draw(&state, 1)
      #expect(small >= 1 && small < 50)
    }
  }

  @Test("weights are the inverse of the probability, to a byte")
  func weights() {
    for mean in [1, 100, 4096, 524_288, 1 << 30] as [UInt64] {
      for shift in 0..<40 {
        for size in [1 << shift, (1 << shift) + (1 << shift) / 3] as [UInt64] {
          let exact = Double(size) / -expm1(-Double(size) / Double(mean))
          let weight = Double(drip_weight(size, mean))
          #expect(abs(weight - exact) <= 0.51 + exact * 1e-11, "\(size) of \(mean): \(weight), not \(exact)")
        }
      }
    }
    #expect(drip_weight(0, 4096) == 4096)
  }

  @Test(
    "a countdown over objects of one size is unbiased",
    arguments: [16, 300, 4096, 20_000, 100_000] as [UInt64])
  func unbiased(size: UInt64) {
    let mean: UInt64 = 4096
    let count = 1_000_000
    var state = size
    var left = drip_draw(&state, mean)
    var samples = 0
    var estimate = 0.0
    for _ in 0..<count {
      if size < left {
        left -= size
      } else {
        left = drip_draw(&state, mean)
        samples += 1
        estimate += Double(drip_weight(size, mean))
      }
    }
    let chance = -expm1(-Double(size) / Double(mean))
    let error = (Double(count) * chance * (1 - chance)).squareRoot()
    #expect(abs(Double(samples) - Double(count) * chance) <= 5 * error + 1e-6)
    let truth = Double(count) * Double(size)
    #expect(abs(estimate - truth) <= 5 * error * Double(size) / chance + truth * 1e-4)
  }

  @Test(
    "sizes in the environment",
    arguments: [
      ("4096", 4096), ("0", 0), ("512KiB", 524_288), ("512k", 524_288), ("2M", 2_097_152), ("1GiB", 1 << 30),
      ("100B", 100), ("", 77), ("-1", 77), ("12x", 77), ("KiB", 77), ("99999999999999999999", 77),
      ("999999999999G", 77), ("1iB", 77), ("1KiBB", 77),
    ] as [(String, UInt64)])
  func bytes(text: String, expected: UInt64) {
    #expect(drip_parse_bytes(text, 77) == expected)
  }

  @Test("without a text the default counts")
  func noText() { #expect(drip_parse_bytes(nil, 5) == 5) }
}

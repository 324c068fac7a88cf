import CSampler
import Foundation
import Testing

/// docs/sampling.md states an interval for what a site holds, from the number of its samples n and what they stand
/// for, W: W / n times the limits of a Poisson count (here by Wilson and Hilferty's approximation of chi-square).
@Suite("sampler intervals")
struct IntervalTests {
  private func limits(_ samples: Int, _ weight: Double) -> ClosedRange<Double> {
    let n = Double(samples)
    let low = n * pow(1 - 1 / (9 * n) - 1.96 / (3 * n.squareRoot()), 3)
    let more = n + 1
    let high = more * pow(1 - 1 / (9 * more) + 1.96 / (3 * more.squareRoot()), 3)
    return max(0, low) * weight / n...high * weight / n
  }

  @Test(
    "outstanding bytes of a site lie in the interval in at least 93 % of the sites",
    arguments: [64, 1500, 30_000, 300_000] as [UInt64])
  func coverage(most: UInt64) {
    let mean: UInt64 = 16_384
    var state = most
    var inside = 0
    var sites = 0
    for _ in 0..<2000 {
      // Sizes from 1 to `most`; a site holds about 50 means, or 20 objects of large sizes.
      var left = drip_draw(&state, mean)
      let goal = max(50 * mean, 20 * most)
      var held: UInt64 = 0
      var samples = 0
      var weight = 0.0
      while held < goal {
        let size = 1 + drip_random(&state) % most
        held += size
        if size < left {
          left -= size
        } else {
          left = drip_draw(&state, mean)
          samples += 1
          weight += Double(drip_weight(size, mean))
        }
      }
      guard samples > 0 else { continue }
      sites += 1
      if limits(samples, weight).contains(Double(held)) { inside += 1 }
    }
    #expect(Double(inside) / Double(sites) >= 0.93, "\(inside) of \(sites)")
  }
}

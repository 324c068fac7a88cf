import Foundation
import Governor
import Testing

/// The budget's arithmetic over simulated loads. A hit costs 1.3 µs, as glibc's malloc does where drip is developed.
@Suite("governor")
struct GovernorTests {
  private let settings = Governor.Settings(secondsPerHit: 1.3e-6)

  @Test(
    "a steady load is kept within the budget, and the budget is used",
    arguments: [1000, 20_000, 100_000, 1_000_000, 5_000_000] as [Double])
  func steady(rate: Double) throws {
    let run = Load(rate: { _ in rate }).run(settings, seconds: 600)
    let share = try #require(run.spending.share)
    #expect(share <= 0.0101, "\(share)")
    // The rest of a slow load's budget cannot be spent: the probes are there nearly all the time.
    #expect(share >= 0.006 || run.spending.seen > 0.95, "\(share), \(run.spending.seen) seen")
    #expect(run.worst(60) <= 0.0125, "\(run.worst(60))")
  }

  @Test(
    "a rate that rises tenfold in mid-run costs no more", arguments: [20_000, 200_000, 700_000] as [Double])
  func tenfold(rate: Double) throws {
    let run = Load(rate: { $0 < 300 ? rate : 10 * rate }).run(settings, seconds: 600)
    let share = try #require(run.spending.share)
    #expect(share <= 0.0101)
    // Also in the minute of the change, and in no ten seconds more than what had been saved up for.
    #expect(run.worst(60) <= 0.0125, "\(run.worst(60))")
    #expect(run.worst(10) <= 0.03, "\(run.worst(10))")
  }

  @Test("the rise is answered by the very window in which it comes, and the recovery is slow")
  func backOff() throws {
    let rise = 100.0
    let fall = 200.0
    let run = Load(rate: { $0 > rise && $0 < fall ? 3_000_000 : 100_000 }).run(settings, seconds: 400)
    let before = try #require(run.decisions.last { $0.at < rise }).decision
    let during = try #require(run.decisions.last { $0.at < fall }).decision
    let after = try #require(run.decisions.last).decision
    #expect(during.window < before.window / 5)
    #expect(after.window > during.window * 5)
    // No window is longer than 1.25 times the one before it.
    for (one, next) in zip(run.decisions, run.decisions.dropFirst()) where one.decision.window > 0 {
      #expect(next.decision.window <= one.decision.window * 1.2501)
    }
  }

  @Test("the rate follows a rise at once, and a fall slowly")
  func rate() throws {
    var governor = Governor(settings)
    func after(_ hits: UInt64) -> Double? {
      _ = governor.decide(
        after: .init(seconds: 10, secondsInPlace: 1, hits: hits, ownCPU: 0, targetCPU: 10))
      return governor.rate
    }
    #expect(after(1000) == 1000 && after(10_000) == 10_000)
    let fallen = try #require(after(1000))
    #expect(fallen > 8000 && fallen < 10_000)
    // A pause without a window says nothing of the rate.
    _ = governor.decide(after: .init(seconds: 10, secondsInPlace: 0, hits: 0, ownCPU: 0, targetCPU: 10))
    #expect(governor.rate == fallen)
  }

  @Test("bursts of 100 ms a minute, half a second of silence in between, noise: the budget holds")
  func bursts() throws {
    for period in [0.5, 7, 60] {
      let load = Load(rate: { $0.truncatingRemainder(dividingBy: period) < 0.1 ? 4_000_000 : 2000 }, use: 0.3)
      let run = load.run(settings, seconds: 900)
      let share = try #require(run.spending.share)
      #expect(share <= 0.0102, "period \(period): \(share)")
    }
  }

  @Test("a target that uses little of a CPU is given little")
  func quiet() throws {
    let run = Load(rate: { _ in 50_000 }, use: 0.2).run(settings, seconds: 600)
    let share = try #require(run.spending.share)
    #expect(share <= 0.0101)
    let busy = Load(rate: { _ in 50_000 }, use: 1).run(settings, seconds: 600)
    #expect(busy.spending.seen > 3 * run.spending.seen)
  }

  @Test("drip's own CPU counts")
  func ownCPU() throws {
    let cheap = Load(rate: { _ in 100_000 }).run(settings, seconds: 300, ownCPUPerWindow: 0)
    let dear = Load(rate: { _ in 100_000 }).run(settings, seconds: 300, ownCPUPerWindow: 0.020)
    #expect(try #require(dear.spending.share) <= 0.0105)
    #expect(dear.spending.secondsInPlace < cheap.spending.secondsInPlace)
    #expect(dear.spending.ownCPU > 0)
  }

  @Test("a rate that no window can be afforded at ends in windows by allowance")
  func hopeless() throws {
    let run = Load(rate: { _ in 1e9 }, use: 1).run(settings, seconds: 300)
    #expect(run.decisions.dropFirst(3).allSatisfy { $0.decision.window <= settings.shortestWindow })
    #expect(run.spending.windows > 0)
  }

  @Test("what is spent and what is not seen are said")
  func spending() {
    var governor = Governor(settings)
    _ = governor.decide(
      after: .init(seconds: 10, secondsInPlace: 2, hits: 10_000, ownCPU: 0.004, targetCPU: 5.014))
    let spending = governor.spending
    #expect(spending.seen == 0.2 && spending.hits == 10_000 && spending.windows == 1)
    #expect(abs(spending.cost - (0.013 + 0.001 + 0.004)) < 1e-12)
    #expect(abs((spending.share ?? 0) - 0.018 / 5) < 1e-6)
    #expect(Spending().share == nil && Spending().seen == 0)
  }

  @Test("a window that is looked at seldom has to stop earlier")
  func reading() {
    #expect(Governor.allowance(1000, rate: 10_000, reading: 0.01) == 900)
    #expect(Governor.allowance(1000, rate: 1_000_000, reading: 0.01) == 0)
    #expect(Governor.allowance(1000, rate: .infinity, reading: 0.01) == 0)
    #expect(Governor.allowance(1000, rate: 0, reading: 0.01) == 1000)
  }
}

import Testing

@testable import LeakDetection

/// The test of one site on numbers by hand: an hour in 60 bins of a minute.
@Suite("survival test")
struct SurvivalTestTests {
  private func run(
    _ objects: [UInt32], births: [Float]? = nil, load: [Double]? = nil, weight: Double = 1,
    deaths: @escaping (Double) -> Double = { _ in 0 }
  ) -> SurvivalTest {
    let births = births ?? objects.map { Float($0) }
    let load = load ?? Array(repeating: 1000, count: 60)
    return SurvivalTest.run(
      SiteCohorts(
        objects: objects[...], births: births[...], weight: weight, load: load[...], width: 60, origin: 0,
        now: 3600), deaths: deaths)
  }

  private func bins(_ value: (Int) -> UInt32) -> [UInt32] { (0..<60).map(value) }

  @Test("one object a minute, none of which dies: 52 groups in seven eighths of an hour")
  func steady() {
    let test = run(bins { _ in 1 })
    #expect(test.outcome == .open)
    #expect(test.survivors == 53)
    #expect(test.groups == 53)
    #expect(test.age == 450)
    // Three windows; 1 - I_1/2(1/2, 53 1/2).
    let expected = 3 * IncompleteBeta.complement(0.5, 0.5, 53.5)
    #expect((test.probability / expected - 1).magnitude < 1e-9)
    #expect(test.since == 120)
  }

  @Test("deaths: a tenth is too many, some weaken it, and the age from which they count decides the window")
  func deaths() {
    #expect(run(bins { _ in 1 }) { _ in 7 }.outcome == .dies)
    let some = run(bins { _ in 1 }) { _ in 4 }
    #expect(some.outcome == .open)
    #expect(some.probability > run(bins { _ in 1 }).probability)
    // Who reaches a quarter of an hour stays: the window of the older ones tells.
    let old = run(bins { _ in 1 }) { $0 < 800 ? 100 : 0 }
    #expect(old.outcome == .open)
    #expect(old.age == 900)
  }

  @Test("clusters: a thousand objects in one minute are one group; nine such minutes are nine at most")
  func clusters() {
    let one = run(bins { $0 == 40 ? 1000 : 0 })
    #expect(one.groups <= 1)
    #expect(one.probability > 0.1)
    let nine = run(bins { $0 % 6 == 1 ? 1000 : 0 })
    #expect(nine.groups <= 9)
    #expect(nine.groups > 5)
  }

  @Test("survivors that cease, and such that become rare")
  func ceasing() {
    #expect(run(bins { $0 < 40 ? 5 : 0 }).outcome == .stopped)
    #expect(run(bins { $0 < 26 ? 30 : 5 }).outcome == .slows)
    // A quarter less is not rare.
    #expect(run(bins { $0 < 26 ? 20 : 15 }).outcome == .open)
    // Older windows cannot say that they keep coming.
    #expect(run(bins { $0 < 30 ? 5 : 0 }).outcome != .open)
  }

  @Test("the process's load excuses what becomes rare with it")
  func load() {
    let objects = bins { $0 < 26 ? 30 : 5 }
    let load = (0..<60).map { $0 < 26 ? 6000.0 : 1000 }
    #expect(run(objects, load: load).outcome == .open)
    #expect(run(bins { $0 < 40 ? 5 : 0 }, load: (0..<60).map { $0 < 40 ? 1000.0 : 0 }).outcome == .open)
  }

  @Test("a site's own allocations excuse it too, but only if few of them survive")
  func own() {
    let objects = bins { $0 < 26 ? 30 : 5 }
    let busy = (0..<60).map { $0 < 26 ? Float(3000) : 500 }
    #expect(run(objects, births: busy).outcome == .open)
    #expect(run(objects).outcome == .slows)
    // A sample of which each stands for twenty: most do survive.
    #expect(run(objects, births: busy, weight: 60).outcome == .slows)
  }

  @Test("late onset: shorter windows speak if survivors have become more frequent, and only then")
  func lateOnset() {
    // A leak from the middle on; earlier objects have got old and died.
    let late = run(bins { $0 < 30 ? 0 : 20 }, births: (0..<60).map { _ in 100 }) { $0 > 300 ? 40 : 20 }
    #expect(late.outcome == .open)
    #expect(late.since >= 1800)
    let even = run(bins { _ in 10 }) { $0 < 300 ? 0 : 400 }
    #expect(even.outcome == .dies)
    let rising = run(bins { $0 < 30 ? 0 : 20 }, births: (0..<60).map { _ in 100 }) { $0 < 300 ? 0 : 400 }
    #expect(rising.outcome == .open)
    #expect(rising.share < 1)
    #expect(rising.age < 300)
  }

  @Test("stalled: hardly anything survived, and lately nearly all does")
  func stalled() {
    #expect(run(bins { $0 < 40 ? 0 : 20 }, births: (0..<60).map { _ in 20 }).outcome == .stalled)
    // A part of it is a leak that has begun.
    #expect(run(bins { $0 < 40 ? 0 : 8 }, births: (0..<60).map { _ in 20 }).outcome == .open)
    // There was nothing before.
    #expect(run(bins { $0 < 40 ? 0 : 20 }).outcome == .open)
    // For more than half of the watch that is how it is.
    #expect(run(bins { $0 < 20 ? 0 : 20 }, births: (0..<60).map { _ in 20 }).outcome == .open)
  }

  @Test("too few")
  func few() {
    #expect(run(bins { $0 % 13 == 0 ? 1 : 0 }).outcome != .fewSurvivors)
    #expect(run(bins { $0 % 14 == 0 ? 1 : 0 }).outcome == .fewSurvivors)
    #expect(run(bins { _ in 0 }).outcome == .fewSurvivors)
  }
}

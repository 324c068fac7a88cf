import Profile
import Testing

@testable import LeakDetection

/// One behaviour and what the detector says of it in the course of time.
struct Watched {
  var detector = Detector()
  var program: SyntheticProgram
  /// Levels at each poll.
  var levels: [(seconds: Double, level: Verdict.Level)] = []

  init(seed: UInt64, sampling: Int = 1, _ behaviour: @escaping Behaviour.Run) {
    // Beside it a busy site, which makes the operational clock.
    program = SyntheticProgram(
      seed: seed,
      [behaviour, { site, time, _ in site.churn(Int(300 * (time.upperBound - time.lowerBound))) }])
    program.sampling = sampling
  }

  mutating func watch(until end: Double, every step: Double = 15) {
    while program.now < end {
      program.advance(to: program.now + step)
      detector.add(program.snapshot())
      if Int(program.now) % 60 == 0 { levels.append((program.now, verdict?.level ?? .steady)) }
    }
  }

  var verdict: Verdict? { detector.verdicts()[1] }
}

@Suite("detector")
struct DetectorTests {
  private static var leaks: [(String, Behaviour.Run)] {
    [
      ("steady", Behaviour.partial(rate: 1, leak: 1)),
      ("1 % of a busy site", Behaviour.partial(rate: 15, leak: 0.01, life: 2)),
      ("one object in 30 s", Behaviour.partial(rate: 1.0 / 30, leak: 1, size: 400)),
      ("bursts", Behaviour.bursts(every: 45, of: 20)),
      ("5 % of sessions", Behaviour.partial(rate: 2, leak: 0.05, life: 90)),
      ("late onset", Behaviour.partial(rate: 4, leak: 0.3, life: 3, from: 900)),
      (
        "a fifth, with the load",
        Behaviour.partial(rate: 4, leak: 0.2, load: { Int($0 / 600) % 2 == 0 ? 1.5 : 0.5 }, most: 1.5)
      ),
    ]
  }

  @Test("leaks are likely or more at an hour; and none is before its time", arguments: leaks.indices)
  func leak(index: Int) throws {
    for seed in 1...2 {
      var watched = Watched(seed: UInt64(seed), Self.leaks[index].1)
      watched.watch(until: 3600)
      let verdict = try #require(watched.verdict)
      #expect(verdict.level >= .likely, "\(Self.leaks[index].0), seed \(seed): \(verdict.words)")
      for (seconds, level) in watched.levels where seconds < 1080 {
        #expect(level <= .watch, "\(Self.leaks[index].0), seed \(seed), at \(seconds) s")
      }
      for (seconds, level) in watched.levels where seconds < 2160 {
        #expect(level <= .likely, "\(Self.leaks[index].0), seed \(seed), at \(seconds) s")
      }
    }
  }

  private static var innocents: [(String, Behaviour.Run)] {
    [
      ("churn", Behaviour.partial(rate: 10, leak: 0, life: 2)),
      ("slow churn", Behaviour.partial(rate: 3, leak: 0, life: 150)),
      ("start-up", Behaviour.saturating(rate: 50, time: 8)),
      ("warm-up", Behaviour.saturating(rate: 5, time: 120)),
      ("LRU cache", Behaviour.cache(rate: 1, capacity: 400)),
      ("randomly evicting cache", Behaviour.cache(rate: 1, capacity: 400, isRandom: true)),
      ("time to live", Behaviour.timeToLive(rate: 1, life: 600)),
      ("batch free", Behaviour.batch(rate: 1, period: 700)),
      ("step", Behaviour.steps(at: [800], of: 1000)),
      ("six steps", Behaviour.steps(at: [100, 900, 1000, 2000, 2600, 3000], of: 300)),
      ("arena", Behaviour.arena(bytesPerSecond: 5000)),
      ("heavy tail", Behaviour.heavyTail(rate: 2, shape: 1.1, shortest: 3)),
      (
        "load cycle",
        Behaviour.partial(
          rate: 3, leak: 0, life: 100, load: { Int($0 / 900) % 2 == 0 ? 1.8 : 0.2 }, most: 1.8)
      ),
    ]
  }

  @Test("innocent sites are never likely, and not on the list at an hour", arguments: innocents.indices)
  func innocent(index: Int) throws {
    for seed in 1...2 {
      var watched = Watched(seed: UInt64(seed), Self.innocents[index].1)
      watched.watch(until: 3600)
      let verdict = try #require(watched.verdict)
      let name = "\(Self.innocents[index].0), seed \(seed)"
      // Six big steps are growth, on six occasions: not enough to say more.
      #expect(verdict.level <= (index == 9 ? .warmingUp : .bounded), "\(name): \(verdict.words)")
      #expect(watched.levels.allSatisfy { $0.level < .likely }, "\(name)")
      #expect(!verdict.evidence.wasSuspected.atLastLook, "\(name)")
    }
  }

  @Test("a consumer that stands still: at most watch, with a word about it, and nothing once it has drained")
  func stall() throws {
    var watched = Watched(seed: 4, Behaviour.queue(rate: 4, stall: 1500..<2100))
    watched.watch(until: 2070)
    let during = try #require(watched.verdict)
    #expect(during.level == .watch)
    #expect(during.refutation?.contains("somebody may have stopped to clear up") == true)
    watched.watch(until: 2700)
    #expect(try #require(watched.verdict).level <= .bounded)
    #expect(watched.levels.allSatisfy { $0.level < .likely })
  }

  @Test("a matched pair: the same until one is full, and so is every verdict; then they part")
  func matchedPair() throws {
    let full = 1200.0
    // The same arrivals: a cache of what comes in the first 20 minutes, and a leak.
    func behaviour(_ capacity: Double) -> Behaviour.Run {
      { site, time, numbers in
        Behaviour.arrivals(time, &numbers, most: 1, rate: { _ in 1 }) { now, _ in
          site.allocate(at: now, life: capacity)
        }
      }
    }
    var cache = Watched(seed: 9, behaviour(full))
    var leak = Watched(seed: 9, behaviour(.infinity))
    while leak.program.now < full {
      cache.watch(until: cache.program.now + 15)
      leak.watch(until: leak.program.now + 15)
      if leak.program.now < full { #expect(cache.verdict == leak.verdict) }
    }
    #expect(cache.levels.dropLast().allSatisfy { $0.level <= .watch })
    cache.watch(until: 3600)
    leak.watch(until: 3600)
    #expect(try #require(cache.verdict).level <= .bounded)
    let verdict = try #require(leak.verdict)
    #expect(verdict.level == .leak, "\(verdict)")
  }

  @Test("late frees revise a verdict at once")
  func lateFrees() throws {
    var watched = Watched(seed: 2) { site, time, numbers in
      Behaviour.partial(rate: 1, leak: 1)(site, time, &numbers)
      if time.contains(3700) { site.free(bornBefore: 3000) }
    }
    watched.watch(until: 3690)
    #expect(try #require(watched.verdict).level == .leak)
    watched.watch(until: 3720)
    #expect(try #require(watched.verdict).level <= .bounded)
  }

  @Test("a sample finds what the whole does, and scales rates and shares", arguments: [4, 20])
  func sampled(sampling: Int) throws {
    var watched = Watched(seed: 5, sampling: sampling, Behaviour.partial(rate: 5, leak: 0.4, life: 2))
    watched.watch(until: 3600)
    let verdict = try #require(watched.verdict)
    #expect(verdict.level >= .likely)
    let growth = try #require(verdict.evidence.growth)
    // 5 objects of 100 bytes a second, of which two fifths stay.
    #expect(growth.interval.contains(200))
    #expect((try #require(verdict.evidence.keptShare) - 0.4).magnitude < 0.1)
    var innocent = Watched(seed: 5, sampling: sampling, Behaviour.timeToLive(rate: 10, life: 300))
    innocent.watch(until: 3600)
    #expect(try #require(innocent.verdict).level <= .bounded)
  }

  @Test("sampling does not find what too few objects show")
  func sampledTooThinly() throws {
    var watched = Watched(seed: 5, sampling: 1000, Behaviour.partial(rate: 1, leak: 1))
    watched.watch(until: 3600)
    #expect(try #require(watched.verdict).level <= .warmingUp)
  }
}

import Profile
import Testing

@testable import LeakDetection

@Suite("verdicts")
struct VerdictTests {
  /// Evidence of a site that is suspected, as after a watch of so many seconds.
  static func suspected(_ seconds: Double = 3600, rate: Double = 20_971.52) -> Evidence {
    var test = SurvivalTest()
    test.outcome = .open
    test.arrival = .open
    test.probability = 1e-9
    test.age = 300
    test.to = seconds - 300
    test.survivors = 120
    test.groups = 40.7
    var evidence = Evidence(watchedSeconds: seconds, test: test)
    evidence.isSuspected = true
    evidence.wasSuspected = SuspicionHistory(
      atLastLook: true, sinceHalf: true, knewAgesAtHalf: false, hadFreedAtHalf: true)
    evidence.freed = 7
    evidence.growth = Growth(bytesPerSecond: rate, interval: rate * 0.93...rate * 1.07)
    evidence.intervals = Intervals(grown: 58, seen: 60)
    evidence.keptShare = 0.93
    evidence.outstandingBytes = 5 << 20
    evidence.outstandingCount = 1234
    return evidence
  }

  private let policy = VerdictPolicy()

  @Test("the sentence of the issue")
  func sentence() throws {
    var evidence = Self.suspected()
    evidence.reachability = Reachability(inspected: 40, unreachable: 40, reachable: 0)
    let growth = try #require(evidence.growth)
    let limit = MemoryLimit(source: .cgroup, bytes: 2 << 30, used: (2 << 30) - 251_658_240)
    evidence.outlook = Outlook(limit: limit, growth: growth)
    let verdict = Verdict(level: policy.level(evidence), evidence: evidence)
    #expect(
      verdict.sentence
        == "grows 1.2 MiB/min (95 % 1.1–1.3), steadily for 58 of 60 intervals; of what it allocated over 5 min ago 93 % is still there; 40 of 40 inspected objects are unreachable; at this rate the limit of 2.00 GiB is reached in 3 h 20 min"
    )
    #expect(
      verdict.basis
        == "rests on 1 h watched, 120 survivors, in 40 independent groups, a search of its memory while it was stopped"
    )
    #expect(verdict.refutation?.hasPrefix("refuted if the program finds the objects by other means") == true)
    #expect(
      verdict.words == ["leak: " + verdict.sentence] + [verdict.basis, verdict.refutation].compactMap { $0 })
    #expect(evidence.outlook?.interval.lowerBound ?? 0 < 12_000)
    #expect(evidence.outlook?.interval.upperBound ?? 0 > 12_000)
  }

  @Test("no level claims more than the time allows")
  func time() {
    #expect(policy.level(Self.suspected(59)) == .warmingUp)
    #expect(policy.level(Self.suspected(61)) == .watch)
    #expect(policy.level(Self.suspected(1070)) == .watch)
    #expect(policy.level(Self.suspected(1090)) == .likely)
    #expect(policy.level(Self.suspected(3230)) == .likely)
    #expect(policy.level(Self.suspected(3250)) == .leak)
    // It has begun lately: what counts is since when.
    var late = Self.suspected(3600)
    late = { Evidence(late: $0, since: 2600) }(late)
    #expect(policy.level(late) == .watch)
  }

  @Test("what has not freed anything for long is watched longer, and the words say why")
  func neverFreed() {
    var evidence = Self.suspected(1500)
    evidence.wasSuspected.hadFreedAtHalf = false
    evidence.freed = 0
    let verdict = Verdict(level: policy.level(evidence), evidence: evidence)
    #expect(verdict.level == .watch)
    #expect(verdict.refutation?.contains("a cache that is still filling looks the same") == true)
    #expect(policy.level(Self.suspected(1500)) == .likely)
  }

  @Test(
    "what has not freed anything and is all held is watched longer still, for a cache that fills is like that"
  )
  func neverFreedAndHeld() {
    func level(_ minutes: Double, _ reachability: Reachability?, freed: Bool = false) -> Verdict.Level {
      var evidence = Self.suspected(minutes * 60)
      evidence.wasSuspected.hadFreedAtHalf = freed
      evidence.wasSuspected.sinceHalf = false
      evidence.reachability = reachability
      return policy.level(evidence)
    }
    let held = Reachability(inspected: 40, unreachable: 0, reachable: 40)
    #expect(level(32, nil) == .likely)
    #expect(level(32, held) == .watch)
    #expect(level(48, held) == .likely)
    // That most of it is held by what drip does not know proves nothing, nor does it that a few are.
    #expect(
      level(32, Reachability(inspected: 40, unreachable: 0, reachable: 40, onlyFromUnknownHeap: 30))
        == .likely)
    #expect(level(32, Reachability(inspected: 9, unreachable: 0, reachable: 9)) == .likely)
    // What frees is no cache that is still filling.
    #expect(level(32, held, freed: true) == .likely)
  }

  @Test("upwards only with a second look, and to leak only with one at half of the time")
  func hysteresis() {
    var evidence = Self.suspected()
    evidence.wasSuspected.sinceHalf = false
    #expect(policy.level(evidence) == .likely)
    evidence.wasSuspected.atLastLook = false
    #expect(policy.level(evidence) == .watch)
    evidence.isSuspected = false
    #expect(policy.level(evidence) < .watch || policy.level(evidence) == .watch && evidence.groups >= 5)
    let bits = SuspicionHistory(suspected: 0b11111, matured: 0b10001, freed: 0b10000)
    #expect(
      bits == SuspicionHistory(atLastLook: true, sinceHalf: true, knewAgesAtHalf: true, hadFreedAtHalf: true))
    #expect(
      SuspicionHistory(suspected: 0b01111, matured: 0b10000, freed: 0b01111)
        == SuspicionHistory(atLastLook: true))
    #expect(!SuspicionHistory(suspected: 0b10, matured: 0, freed: 0).atLastLook)
    #expect(!SuspicionHistory(suspected: 0b10011, matured: 0, freed: 0).sinceHalf)
  }

  @Test("known ages make a leak sooner, unless all is held by something")
  func knownAges() {
    var evidence = Self.suspected(2500)
    #expect(policy.level(evidence) == .likely)
    evidence.wasSuspected.knewAgesAtHalf = true
    #expect(policy.level(evidence) == .leak)
    evidence.reachability = Reachability(
      inspected: 40, unreachable: 0, reachable: 40, exampleHolder: "main .bss")
    #expect(policy.level(evidence) == .likely)
    let words = Verdict(level: .likely, evidence: evidence).sentence
    #expect(words.contains("40 of 40 inspected objects are reachable, one of them from main .bss"))
  }

  @Test("trifles are no matter, at any level")
  func floor() {
    #expect(policy.level(Self.suspected(3600, rate: 1.1)) < .watch)
    #expect(policy.level(Self.suspected(3600, rate: 1.2)) == .leak)
    var proved = Self.suspected(300, rate: 1.1)
    proved.reachability = Reachability(inspected: 40, unreachable: 40, reachable: 0)
    #expect(policy.level(proved) < .watch)
    proved.floorBytesPerSecond = 1
    #expect(policy.level(proved) == .leak)
  }

  @Test("lost objects prove a leak early, if there are several and more come")
  func proof() {
    var evidence = Self.suspected(45)
    evidence.isSuspected = false
    evidence.reachability = Reachability(inspected: 40, unreachable: 3, reachable: 37)
    #expect(policy.level(evidence) == .leak)
    #expect(
      Verdict(level: .leak, evidence: evidence).sentence.contains("3 of 40 inspected objects are unreachable")
    )
    evidence.reachability?.unreachable = 2
    #expect(policy.level(evidence) == .warmingUp)
    evidence.reachability = Reachability(inspected: 40, unreachable: 3, reachable: 37, isStopped: false)
    #expect(policy.level(evidence) == .warmingUp)
    evidence.reachability?.scans = 2
    #expect(policy.level(evidence) == .leak)
    evidence.reachability = Reachability(inspected: 400, unreachable: 3, reachable: 397)
    #expect(policy.level(evidence) == .warmingUp)
    // Lost at the start, and none since.
    var test = evidence.test
    test.outcome = .stopped
    test.arrival = .stopped
    var stopped = Evidence(watchedSeconds: 3600, test: test)
    stopped.growth = evidence.growth
    stopped.reachability = Reachability(inspected: 10, unreachable: 10, reachable: 0)
    #expect(policy.level(stopped) < .watch)
  }

  @Test("what only lost objects hold is lost; what suspects hold that are alive is not")
  func fromSuspects() {
    #expect(Reachability(inspected: 9, unreachable: 1, onlyFromSuspects: 8, reachable: 0).isProof)
    // A ring, which is known for one only where the target stood still.
    #expect(Reachability(inspected: 9, unreachable: 0, onlyFromSuspects: 9, reachable: 0).isProof)
    #expect(
      !Reachability(
        inspected: 9, unreachable: 0, onlyFromSuspects: 9, reachable: 0, isStopped: false, scans: 2
      ).isProof)
    #expect(Reachability(inspected: 30, unreachable: 0, reachable: 30).isHeld)
    #expect(!Reachability(inspected: 10, unreachable: 0, reachable: 10).isHeld)
    #expect(
      !Reachability(inspected: 30, unreachable: 0, reachable: 30, onlyFromUnknownHeap: 20).isHeld)
    var evidence = Self.suspected()
    evidence.reachability = Reachability(inspected: 9, unreachable: 1, onlyFromSuspects: 8, reachable: 0)
    #expect(
      Verdict(level: .leak, evidence: evidence).sentence.contains(
        "1 of 9 inspected objects are unreachable and 8 more reachable from lost ones only"))
  }

  @Test("words of harmless levels")
  func harmless() {
    var evidence = Self.suspected()
    func words(_ outcome: SurvivalTest.Outcome, _ level: Verdict.Level) -> String {
      var test = evidence.test
      test.outcome = outcome
      test.deaths = 360.5
      var other = Evidence(watchedSeconds: 90, test: test)
      other.outstandingBytes = 5 << 20
      other.outstandingCount = 1
      let verdict = Verdict(level: level, evidence: other)
      #expect(verdict.basis == nil && verdict.refutation == nil && verdict.words.count == 1)
      return verdict.sentence
    }
    #expect(
      words(.dies, .bounded)
        == "holds 5.00 MiB in 1 object; what gets older than 5 min is freed later in 75 % of cases")
    #expect(words(.stopped, .bounded).hasSuffix("nothing of what it has allocated lately is kept"))
    #expect(words(.slows, .bounded).hasSuffix("less and less of what it allocates is kept"))
    #expect(words(.fewSurvivors, .steady) == "holds 5.00 MiB in 1 object and does not grow")
    #expect(
      words(.open, .warmingUp).hasPrefix("too early to tell: 1 min 30 s watched, holds 5.00 MiB in 1 object"))
    evidence.keptShare = 0.01
    #expect(
      Verdict(level: .likely, evidence: evidence).sentence.contains(
        "of 120 objects that got older than 5 min, 120 are still there"))
  }

  @Test("levels and order")
  func order() {
    #expect(Verdict.Level.allCases == Verdict.Level.allCases.sorted())
    #expect(Verdict.Level.warmingUp.rawValue == "warming up")
    let slow = Verdict(level: .likely, evidence: Self.suspected(3600, rate: 10))
    let fast = Verdict(level: .likely, evidence: Self.suspected(3600, rate: 1000))
    let leak = Verdict(level: .leak, evidence: Self.suspected(3600, rate: 2))
    #expect([slow, leak, fast].sorted(by: Verdict.isGraver) == [leak, fast, slow])
    #expect(!Verdict.isGraver(slow, slow))
  }

  @Test(
    "rates and spans",
    arguments: [
      (0.5, "1.8 KiB/h (95 % 0.9–2.6)"), (0.01, "36 B/h (95 % 18–54)"), (17.5, "1.0 KiB/min (95 % 0.5–1.5)"),
      (1e9, "56 GiB/min (95 % 28–84)"),
    ])
  func rates(rate: Double, expected: String) {
    #expect(RateWords.rate(rate, interval: rate * 0.5...rate * 1.5) == expected)
  }

  @Test(
    "times",
    arguments: [
      (0.4, "400 ms"), (45, "45 s"), (60, "1 min"), (75, "1 min 15 s"), (671, "11 min"),
      (12_000, "3 h 20 min"),
      (7200, "2 h"), (266_400, "3 d 2 h"),
    ])
  func spans(seconds: Double, expected: String) {
    #expect(RateWords.span(seconds) == expected)
  }
}

extension Evidence {
  /// The same with survivors since `since` only.
  fileprivate init(late evidence: Evidence, since: Double) {
    var test = evidence.test
    test.since = since
    self.init(watchedSeconds: evidence.watchedSeconds, test: test)
    isSuspected = evidence.isSuspected
    wasSuspected = evidence.wasSuspected
    growth = evidence.growth
  }
}

import Glibc
import Testing

@testable import Trends

/// A generator that gives the same numbers again.
struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }

  mutating func unit() -> Double { Double(next() >> 11) / Double(1 << 53) }
}

private let mebibyte = 1_048_576.0

@Suite("trends")
struct TrendTests {
  /// Feeds samples every 10 s; the seconds at which growth began and ended.
  private func run(
    minutes: Double, rule: Rule = Rule(), from: Double = 0, _ bytes: (Double) -> Double
  ) -> (began: [Double], ended: [Double], last: Growth?) {
    var trend = Trend(seconds: from)
    var began: [Double] = []
    var ended: [Double] = []
    for step in 0..<Int(minutes * 6) {
      let second = Double(step) * 10
      switch trend.add(seconds: from + second, bytes: UInt64(max(bytes(second), 0)), rule) {
      case .began: began.append(second)
      case .ended: ended.append(second)
      case .goesOn, nil: break
      }
    }
    return (began, ended, trend.growth)
  }

  @Test("a fast leak is told after two minutes, with its rate and where it began")
  func fast() throws {
    let result = run(minutes: 10, from: 5000) { 50 * mebibyte + $0 * mebibyte }
    #expect(result.began == [110] && result.ended.isEmpty)
    let growth = try #require(result.last)
    #expect(abs(growth.bytesPerSecond - mebibyte) < 1 && growth.tau == 1)
    #expect(growth.since == 5000 && growth.seen == 5590)
    #expect(growth.from == UInt64(50 * mebibyte) && growth.to == UInt64(640 * mebibyte))
    // Where it began is not forgotten when the marks of then are.
    let later = try #require(run(minutes: 120, from: 5000) { 50 * mebibyte + $0 * mebibyte }.last)
    #expect(later.since == 5000 && later.from == UInt64(50 * mebibyte) && later.span < 900)
  }

  /// What comes and goes with requests hides it for a while.
  @Test("1 MiB a minute in a busy process is told within ten minutes", arguments: 1...20)
  func slow(seed: Int) throws {
    var random = Seeded(state: UInt64(seed))
    for (noise, limit) in [(4.0, 600.0), (8.0, 720.0)] {
      let result = run(minutes: 20) { 100 * mebibyte + ($0 / 60 + noise * random.unit()) * mebibyte }
      #expect((result.began.first ?? .infinity) <= limit, "noise of \(noise) MiB")
      guard noise < 8 else { continue }
      let growth = try #require(result.last)
      #expect(abs(growth.bytesPerSecond / (mebibyte / 60) - 1) < 0.5, "\(growth)")
    }
  }

  @Test("a leak that begins after hours of rest is told within ten minutes, too")
  func late() {
    let result = run(minutes: 320) { 60 * mebibyte + max($0 - 18_000, 0) / 60 * 1.5 * mebibyte }
    #expect(result.began.count == 1 && result.began[0] > 18_000 && result.began[0] <= 18_600)
  }

  @Test("a slow leak of a large process is told on the coarse levels")
  func large() {
    // 12 MiB an hour of 1 GiB.
    let result = run(minutes: 240) { 1024 * mebibyte + $0 / 3600 * 12 * mebibyte }
    #expect(result.began.count == 1 && result.last != nil)
  }

  @Test("rest, noise, a start that levels off: no growth in a day", arguments: 1...10)
  func quiet(seed: Int) {
    var random = Seeded(state: UInt64(seed))
    #expect(run(minutes: 120) { _ in 30 * mebibyte }.began.isEmpty)
    #expect(run(minutes: 1440) { _ in 200 * mebibyte + 20 * mebibyte * random.unit() }.began.isEmpty)
    // Time constants from 4 to 40 s; from some 45 s on, two minutes see a rise.
    let constant = 4 * Double(seed)
    #expect(run(minutes: 120) { 300 * mebibyte * (1 - exp(-$0 / constant)) }.began.isEmpty)
    #expect(run(minutes: 120) { 300 * mebibyte * exp(-$0 / 600) }.began.isEmpty)
  }

  @Test(
    "a saw of garbage collection is no growth, unless a tooth takes longer than two minutes",
    arguments: 1...10)
  func saw(seed: Int) {
    let period = 8.7 * Double(seed)
    let bytes = { (second: Double) in
      200 * mebibyte + 80 * mebibyte * (second / period).truncatingRemainder(dividingBy: 1)
    }
    #expect(run(minutes: 1440, bytes).began.isEmpty, "period \(period)")
    // And one that leaks is told all the same.
    let leaking = run(minutes: 60) { bytes($0) + $0 / 60 * 3 * mebibyte }
    #expect(leaking.began.count >= 1 && leaking.last != nil, "period \(period)")
  }

  @Test("growth that stops is told to have ended, and may begin again")
  func stops() {
    let result = run(minutes: 60) { second in
      20 * mebibyte + min(second, 600) * 0.5 * mebibyte + max(second - 2400, 0) * 0.5 * mebibyte
    }
    #expect(result.began.count == 2 && result.ended.count == 1)
    #expect(result.ended[0] > 600 && result.ended[0] < 2000)
    #expect(result.began[1] > 2400)
  }

  @Test("looks that were left out do not look like a jump that levels off", arguments: 6..<30, [4, 10, 50])
  func gap(step: Int, length: Int) {
    var trend = Trend(seconds: 0)
    var ended = 0
    for look in 0..<120 where !(step..<step + length).contains(look) {
      let second = Double(look) * 10
      if case .ended = trend.add(seconds: second, bytes: UInt64(20 * mebibyte + second * mebibyte), Rule()) {
        ended += 1
      }
    }
    #expect(trend.growth != nil && ended == 0)
  }

  @Test("growth below the floors is none")
  func floors() {
    #expect(run(minutes: 11) { 10 * mebibyte + $0 * 1000 }.began.isEmpty)
    #expect(!run(minutes: 11, rule: Rule(least: 262_144)) { 10 * mebibyte + $0 * 1000 }.began.isEmpty)
    // 7 MiB in the time, of 1 GiB: less than a hundredth.
    #expect(run(minutes: 11) { 1024 * mebibyte + $0 * 11_000 }.began.isEmpty)
    #expect(!run(minutes: 11, rule: Rule(share: 0.001)) { 1024 * mebibyte + $0 * 11_000 }.began.isEmpty)
  }

  @Test("a clock that stands still or jumps back is no growth and no crash")
  func clock() {
    var trend = Trend(seconds: 10)
    for step in 0..<200 {
      _ = trend.add(seconds: step % 3 == 0 ? 0 : 10, bytes: UInt64(step) << 20, Rule())
    }
    _ = trend.add(seconds: .nan, bytes: .max, Rule())
  }
}

@Suite("slope")
struct SlopeTests {
  private func marks(_ pages: [UInt32]) -> ArraySlice<LowWaterMarks.Mark> {
    pages.enumerated().map { LowWaterMarks.Mark(seconds: Float($0), pages: $1) }[...]
  }

  @Test("one wild mark does not bend it")
  func robust() throws {
    let straight = try #require(Slope(marks(Array(0..<16))))
    #expect(straight.bytesPerSecond == 4096 && straight.low == 4096 && straight.high == 4096)
    var wild = Array(UInt32(0)..<16)
    wild[7] = 1_000_000
    let bent = try #require(Slope(marks(wild)))
    #expect(bent.bytesPerSecond == 4096 && bent.tau < 1 && bent.tau > 0.8)
  }

  @Test("Kendall's tau and the ends of the interval, by hand")
  func small() throws {
    // 4 pairs rise, 2 fall; ranks reach 1.96 * sqrt(4 * 3 * 13 / 18) = 5.77 over 6 pairs: all of them.
    let slope = try #require(Slope(marks([1, 3, 2, 4])))
    #expect(abs(slope.tau - 4.0 / 6) < 1e-12)
    #expect(slope.low == -4096 && slope.high == 2 * 4096)
    #expect(slope.bytesPerSecond == 3072)
    // An odd number of pairs: 15, of which 10 rise by one.
    let odd = try #require(Slope(marks([0, 1, 2, 3, 4, 500])))
    #expect(odd.bytesPerSecond == 4096 && odd.tau == 1)
    #expect(Slope(marks([1, 2, 3])) == nil)
  }

  @Test("the interval holds the true rate in 95 % of cases where errors are independent")
  func coverage() throws {
    var random = Seeded(state: 4)
    var held = 0
    for _ in 0..<2000 {
      let row = (0..<16).map { UInt32(1000 + Double($0) * 50 + random.unit() * 400) }
      let slope = try #require(Slope(marks(row)))
      if slope.low...slope.high ~= 50 * 4096 { held += 1 }
    }
    #expect(held > 1860 && held < 1980, "\(held)")
  }
}

@Suite("low water marks and the table")
struct TrendTableTests {
  @Test("levels hold the lowest of four, sixteen of each")
  func levels() {
    var marks = LowWaterMarks()
    for step in 0..<100 {
      marks.add(seconds: Double(step), bytes: UInt64(step % 4 == 2 ? 1 : 10 + step) * 4096)
    }
    #expect(marks.level(0).map(\.seconds) == (84..<100).map { Float($0) })
    #expect(marks.level(1).map(\.pages) == [UInt32](repeating: 1, count: 16))
    #expect(marks.level(1).map(\.seconds) == (9..<25).map { Float($0 * 4 + 2) })
    #expect(marks.level(2).count == 6 && marks.level(3).count == 1)
    #expect(marks.isFresh(0) && marks.isFresh(1) && !marks.isFresh(2))
  }

  @Test("room is bounded, what finds none is counted, a number used again begins anew")
  func table() {
    var table = TrendTable<String>(capacity: 2)
    for second in 0..<20 {
      for name in ["1@5", "2@5", "3@5"] {
        _ = table.add(name, seconds: Double(second) * 10, bytes: UInt64(second) << 20)
      }
    }
    #expect(table.count == 2 && table.refused == 20)
    #expect(Set(table.growing.map(\.identity)) == ["1@5", "2@5"])
    #expect(table.remove("1@5") != nil && table.remove("1@5") == nil)
    #expect(table.add("1@9", seconds: 200, bytes: 50 << 20) == nil)
    #expect(table.growth(of: "1@9") == nil && table.growth(of: "2@5") != nil)
  }
}

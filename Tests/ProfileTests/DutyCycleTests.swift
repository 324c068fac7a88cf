import Testing

@testable import Profile

@Suite("duty cycles")
struct DutyCycleTests {
  private static let ms: UInt64 = 1_000_000

  @Test(
    "texts",
    arguments: [
      ("100ms/1s", 100, 1000), ("10ms/60ms", 10, 60), ("1s/1min", 1000, 60_000),
      ("59min/1h", 3_540_000, 3_600_000),
      ("950ms/1000ms", 950, 1000),
    ] as [(String, UInt64, UInt64)])
  func texts(text: String, on: UInt64, period: UInt64) throws {
    let cycle = try DutyCycle(text)
    #expect(cycle.on == on * Self.ms && cycle.period == period * Self.ms)
  }

  @Test(
    "texts that are none",
    arguments: [
      "", "/", "100ms", "100ms/", "/1s", "100ms/1s/1s", "100/1000", "ms/s", "-100ms/1s", "+1s/2s", "1.5s/3s",
      "100 ms/1s", "100ms / 1s", "1S/2S", "1d/2d", "٣s/9s", "99999999999999999999s/1h",
    ])
  func syntax(text: String) {
    #expect(throws: DutyCycle.Invalid.syntax(text)) { try DutyCycle(text) }
  }

  @Test(
    "times that make no sense",
    arguments: [
      ("9ms/1s", .tooShort("9ms/1s")), ("0s/1s", .tooShort("0s/1s")), ("1s/1s", .noPause("1s/1s")),
      ("2s/1s", .noPause("2s/1s")), ("951ms/1s", .noPause("951ms/1s")), ("1s/61min", .tooLong("1s/61min")),
      ("5000h/5124095h", .tooLong("5000h/5124095h")), ("1s/5124096h", .syntax("1s/5124096h")),
    ] as [(String, DutyCycle.Invalid)])
  func nonsense(text: String, error: DutyCycle.Invalid) {
    #expect(throws: error) { try DutyCycle(text) }
    #expect(error.description.contains(text))
  }

  @Test("a thousand windows", arguments: ["100ms/1s", "10ms/60ms", "950ms/1s", "1s/1min"])
  func schedule(text: String) throws {
    let cycle = try DutyCycle(text)
    let start: UInt64 = 12_345
    var schedule = cycle.schedule(from: start)
    #expect(schedule.state(at: 0) == DutyCycle.State(isOn: false, nextChange: start))
    var now = start
    var pauses: [UInt64] = []
    for _ in 0..<1000 {
      let on = schedule.state(at: now)
      #expect(on == DutyCycle.State(isOn: true, nextChange: now + cycle.on))
      #expect(schedule.state(at: on.nextChange - 1) == on)
      let off = schedule.state(at: on.nextChange)
      #expect(!off.isOn)
      #expect(schedule.state(at: off.nextChange - 1) == off)
      pauses.append(off.nextChange - on.nextChange)
      now = off.nextChange
    }
    #expect(pauses.allSatisfy { $0 >= DutyCycle.shortestOff })
    let mean = Double(pauses.reduce(0, +)) / 1000
    #expect(abs(mean / Double(cycle.period - cycle.on) - 1) < 0.06)
    #expect(Set(pauses).count > 900 || cycle.period - cycle.on == DutyCycle.shortestOff)
    // One who asks seldom learns the same.
    var late = cycle.schedule(from: start)
    #expect(late.state(at: now - 1) == DutyCycle.State(isOn: false, nextChange: now))
    #expect(late.state(at: now).isOn)
  }

  /// A program that works in the first tenth of every second: a fixed beat would see all or nothing of that.
  @Test("a program with the period of the windows")
  func beat() throws {
    var schedule = try DutyCycle("100ms/1s").schedule(from: 0)
    let second = 1000 * Self.ms
    var (now, seen, count) = (0 as UInt64, 0 as UInt64, 0 as UInt64)
    while count < 20_000 {
      let state = schedule.state(at: now)
      if state.isOn {
        let phase = now % second
        if phase < 100 * Self.ms { seen += 100 * Self.ms - phase }
        if phase > 900 * Self.ms { seen += phase - 900 * Self.ms }
        count += 1
      }
      now = state.nextChange
    }
    #expect(abs(Double(seen) / Double(count * 100 * Self.ms) - 0.1) < 0.006)
  }
}

@Suite("window clocks")
struct WindowClockTests {
  @Test("time in place and scale")
  func times() {
    var clock = WindowClock(start: 1000)
    #expect(clock.scale(at: 1000) == nil && clock.scale(at: 5000) == nil && clock.onTime(at: 5000) == 0)
    #expect(clock.statement(at: 5000).count == 1)
    clock.open(at: 2000)
    #expect(clock.scale(at: 2000) == nil)
    #expect(clock.onTime(at: 2500) == 500 && clock.scale(at: 2500) == 3)
    clock.open(at: 2600)  // it is
    clock.close(at: 3000)
    #expect(clock.onTime(at: 9000) == 1000 && clock.scale(at: 9000) == 8)
    clock.close(at: 9000)
    #expect(clock.onTime(at: 9000) == 1000 && clock.windows == 1)
    clock.open(at: 9000)
    #expect(clock.onTime(at: 8000) == 1000)
    clock.close(at: 10_000)
    #expect(clock.windows == 2 && clock.onTime(at: 11_000) == 2000 && clock.scale(at: 11_000) == 5)
    // Times that contradict each other make no factor below 1.
    var odd = WindowClock(start: 1000)
    odd.open(at: 500)
    #expect(odd.scale(at: 1500) == 1 && odd.scale(at: 900) == nil)
  }

  @Test("the statement in words")
  func words() {
    var clock = WindowClock(start: 0)
    clock.open(at: 0)
    clock.close(at: 2_000_000_000)
    let one = clock.statement(at: 10_000_000_000)
    #expect(one[0] == "Probes were in place for 2.0 s of 10.0 s (20.0 %), in 1 window.")
    #expect(one[1].contains("counted exactly; multiplied by 5.00 they estimate"))
    #expect(one[2].contains("upper bound") && one[3].contains("handed out again"))
    clock.open(at: 10_000_000_000)
    #expect(clock.statement(at: 12_000_000_000)[0].hasSuffix("(33.3 %), in 2 windows."))
    #expect(one.count == 4 && one.allSatisfy { $0.hasSuffix(".") })
  }
}

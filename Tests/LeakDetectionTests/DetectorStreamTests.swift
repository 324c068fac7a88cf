import Profile
import Testing

@testable import LeakDetection

/// Streams as they are: with gaps, late starts, processes and sites that come and go.
@Suite("detector, irregular streams")
struct DetectorStreamTests {
  /// One poll of one site: objects by bin, of 100 bytes each.
  private func snapshot(
    _ seconds: Double, site: UInt32 = 1, process: Int = 0, allocs: UInt64, objects: [Int: UInt32],
    bytes: UInt64 = 100
  ) -> Snapshot {
    let width = BirthCohorts.width(elapsed: seconds)
    let bins = Int(seconds / width) + 1
    let row = (0..<bins).map { objects[$0] ?? 0 }
    let left = row.reduce(0) { $0 + UInt64($1) }
    return Snapshot(
      elapsedSeconds: seconds,
      sites: [
        SiteCounts(
          id: site, process: process, allocs: allocs, frees: allocs - min(left, allocs),
          allocatedBytes: allocs * bytes, freedBytes: (allocs - min(left, allocs)) * bytes)
      ],
      cohorts: BirthCohorts(
        width: width, bins: bins,
        rows: left == 0
          ? [] : [BirthCohorts.Row(site: site, objects: row, bytes: row.map { UInt64($0) * bytes })]))
  }

  /// The detector's evidence on a site.
  private func evidence(_ detector: Detector, _ site: UInt32 = 1) throws -> Evidence {
    try #require(detector.verdicts()[site]).evidence
  }

  @Test("what goes from a closed bin has died, at its age")
  func deaths() throws {
    var detector = Detector()
    for second in 1...31 { detector.add(snapshot(Double(second), allocs: 20, objects: [0: 10, 1: 10])) }
    // Bins of 1 s now, the old two are one. Seven of 16 go at half a minute.
    detector.add(snapshot(33, allocs: 20, objects: [0: 13]))
    var evidence = try evidence(detector)
    // The age that counts is 5 s at least.
    #expect(evidence.survivors == 13)
    #expect(evidence.deaths == 7)
    for second in 34...70 { detector.add(snapshot(Double(second), allocs: 20, objects: [0: 13])) }
    // Twice as old bins, and nobody has died of their becoming one.
    evidence = try self.evidence(detector)
    #expect(evidence.deaths == 7)
    #expect(evidence.survivors == 13)
  }

  @Test("objects that appear in a closed bin and go at the next poll were a misreading")
  func misread() throws {
    var detector = Detector()
    for second in 1...60 {
      // Every other poll sees an object with the birth of its predecessor in its place.
      detector.add(snapshot(Double(second), allocs: 20, objects: [0: second % 2 == 0 ? 11 : 10]))
    }
    #expect(try evidence(detector).deaths == 0)
    // That old objects move in, as with realloc, and die later is none.
    for second in 61...70 { detector.add(snapshot(Double(second), allocs: 25, objects: [0: 15])) }
    detector.add(snapshot(71, allocs: 25, objects: [0: 12]))
    #expect(try evidence(detector).deaths == 3)
  }

  @Test("a vector that realloc lets grow is one old object, however large, and no leak")
  func vector() throws {
    var detector = Detector()
    for poll in 1...240 {
      let seconds = Double(poll) * 15
      // Its birth is the first one's; its bytes double now and then.
      detector.add(
        snapshot(seconds, allocs: UInt64(poll), objects: [0: 1], bytes: 1 << UInt64(4 + poll / 12)))
    }
    #expect(try #require(detector.verdicts()[1]).level == .steady)
  }

  @Test("ten vectors that are born anew at every realloc do not look like survivors")
  func bornAnew() throws {
    var numbers = SeededNumbers(seed: 3)
    var detector = Detector()
    var births = (0..<10).map { Double($0) }
    var allocs: UInt64 = 10
    for poll in 1...240 {
      let seconds = Double(poll) * 15
      // Each grows at times that are ever further apart.
      for index in births.indices where numbers.unit() < 15 / max(births[index], 15) {
        births[index] = seconds - 1
        allocs += 1
      }
      let width = BirthCohorts.width(elapsed: seconds)
      var objects: [Int: UInt32] = [:]
      for birth in births where birth < seconds { objects[Int(birth / width), default: 0] += 1 }
      detector.add(snapshot(seconds, allocs: allocs, objects: objects))
      #expect(try #require(detector.verdicts()[1]).level < .likely)
    }
  }

  @Test(
    "before a first snapshot that comes late, and before a long gap, deaths were not seen: nothing is said of it"
  )
  func gaps() throws {
    // A site that gets a hundred objects a minute and keeps all of them.
    func objects(_ seconds: Double) -> [Int: UInt32] {
      let width = BirthCohorts.width(elapsed: seconds)
      return Dictionary(uniqueKeysWithValues: (0..<Int(seconds / width)).map { ($0, UInt32(width * 1.7)) })
    }
    var detector = Detector()
    detector.add(snapshot(1800, allocs: 3000, objects: objects(1800)))
    #expect(try #require(detector.verdicts()[1]).level == .warmingUp)
    #expect(try evidence(detector).watchedSeconds == 0)
    for poll in 1...240 {
      let seconds = 1800 + Double(poll) * 15
      detector.add(snapshot(seconds, allocs: UInt64(seconds * 1.7), objects: objects(seconds)))
    }
    #expect(try evidence(detector).watchedSeconds == 3600)
    #expect(try #require(detector.verdicts()[1]).level >= .likely)
    // Half an hour without a poll.
    detector.add(snapshot(7200, allocs: 12_240, objects: objects(7200)))
    #expect(try #require(detector.verdicts()[1]).level == .warmingUp)
    detector.add(snapshot(7230, allocs: 12_300, objects: objects(7230)))
    #expect(try evidence(detector).watchedSeconds == 30)
  }

  @Test("a gap matters only as long as it is long for the age of the watch")
  func oldGap() throws {
    var detector = Detector()
    for second in [10.0, 20, 60] { detector.add(snapshot(second, allocs: 9, objects: [0: 9])) }
    #expect(try evidence(detector).watchedSeconds == 0)
    for second in 61...638 { detector.add(snapshot(Double(second), allocs: 9, objects: [0: 9])) }
    #expect(try evidence(detector).watchedSeconds == 578)
    for second in 639...641 { detector.add(snapshot(Double(second), allocs: 9, objects: [0: 9])) }
    #expect(try evidence(detector).watchedSeconds == 641)
  }

  @Test("a site that appears late is watched from then on, whatever the age of the capture")
  func lateSite() throws {
    var watched = Watched(seed: 1) { site, time, numbers in
      if time.lowerBound >= 3000 { Behaviour.partial(rate: 1, leak: 1)(site, time, &numbers) }
    }
    watched.watch(until: 3600)
    let verdict = try #require(watched.verdict)
    #expect(verdict.level <= .watch)
    #expect((verdict.evidence.watchedSeconds - 600).magnitude <= 15)
  }

  @Test("rows of a process that is gone are forgotten; its number of a site may be another's")
  func retired() throws {
    var detector = Detector()
    for second in 1...100 { detector.add(snapshot(Double(second), allocs: 50, objects: [0: 50])) }
    for second in 101...103 {
      detector.add(snapshot(Double(second), site: 1, process: 1, allocs: 3, objects: [50: 3]))
    }
    let evidence = try evidence(detector)
    #expect(evidence.watchedSeconds == 3)
    #expect(evidence.outstandingCount == 3)
    // Its fifty objects have not died: they are another's. Nor has it inherited the deaths.
    #expect(evidence.deaths == 0)
    #expect(evidence.freed == 0)
    detector.add(
      Snapshot(elapsedSeconds: 104, sites: [], cohorts: BirthCohorts(width: 2, bins: 53, rows: [])))
    #expect(detector.verdicts().isEmpty)
  }

  @Test("another process's site of the same number begins anew, even if its counters are further on")
  func reusedNumber() throws {
    var detector = Detector()
    for second in 1...30 { detector.add(snapshot(Double(second), allocs: 50, objects: [0: 50])) }
    detector.add(snapshot(33, allocs: 50, objects: [:]))
    for second in 34...62 {
      detector.add(snapshot(Double(second), process: 1, allocs: 90, objects: [33: 8]))
    }
    let evidence = try evidence(detector)
    #expect(evidence.watchedSeconds == 29)
    #expect(evidence.survivors == 8)
    #expect(evidence.deaths == 0)
  }

  @Test("a site all of whose objects are gone is steady, and its deaths are known")
  func empty() throws {
    var detector = Detector()
    for second in 1...100 { detector.add(snapshot(Double(second), allocs: 50, objects: [0: 50])) }
    detector.add(snapshot(101, allocs: 50, objects: [:]))
    #expect(try #require(detector.verdicts()[1]).level == .steady)
    detector.add(snapshot(102, allocs: 56, objects: [50: 6]))
    for second in 103...130 {
      detector.add(snapshot(Double(second), allocs: 56, objects: [(second < 128 ? 50 : 25): 6]))
    }
    #expect(try evidence(detector).deaths == 50)
  }

  @Test("snapshots without cohorts, or that are not later, are passed over; other widths begin anew")
  func order() throws {
    var detector = Detector()
    for second in 1...70 { detector.add(snapshot(Double(second), allocs: 9, objects: [0: 9])) }
    let before = detector.verdicts()
    detector.add(Snapshot(elapsedSeconds: 71, sites: []))
    for seconds in [70.0, 3] { detector.add(snapshot(seconds, allocs: 1, objects: [:])) }
    #expect(detector.verdicts() == before)
    detector.add(
      Snapshot(
        elapsedSeconds: 72, sites: [], cohorts: BirthCohorts(width: 3, bins: 25, rows: [])))
    #expect(detector.verdicts().isEmpty)
    #expect(detector.now == 72)
    // Width 3 holds until 192 s, and what comes is as good as new.
    for second in 73...180 {
      detector.add(
        Snapshot(
          elapsedSeconds: Double(second),
          sites: [SiteCounts(id: 1, process: 0, allocs: 9, frees: 0, allocatedBytes: 9, freedBytes: 0)],
          cohorts: BirthCohorts(
            width: 3, bins: second / 3 + 1,
            rows: [
              BirthCohorts.Row(
                site: 1, objects: (0...second / 3).map { $0 == 25 ? 9 : 0 },
                bytes: (0...second / 3).map { $0 == 25 ? 9 : 0 })
            ])))
    }
    #expect(try evidence(detector).survivors == 9)
    #expect(try evidence(detector).intervals.seconds == 3)
  }

  @Test("the load of the whole process is a clock: a leak that goes with it is found across a quiet half")
  func operationalClock() throws {
    func level(_ goesWithLoad: Bool) throws -> Verdict.Level {
      let load: (Double) -> Double = { $0 < 1800 ? 4.0 : 1.0 }
      var program = SyntheticProgram(
        seed: 6,
        [
          Behaviour.partial(rate: 1, leak: 1, load: load, most: 4),
          { site, time, _ in
            let busy: Double = goesWithLoad ? load(time.lowerBound) : 1
            site.churn(Int(busy * 100.0 * (time.upperBound - time.lowerBound)))
          },
        ])
      var detector = Detector()
      while program.now < 3600 {
        program.advance(to: program.now + 15)
        detector.add(program.snapshot())
      }
      return try #require(detector.verdicts()[1]).level
    }
    #expect(try level(true) >= .likely)
    // Without the load to blame, it has slowed down.
    #expect(try level(false) <= .bounded)
  }

  @Test("memory is bounded, and polls become rarer")
  func bounds() {
    #expect(Detector.bytesPerSite <= 1536)
    var detector = Detector()
    var polls = 0
    for second in 1...7200 where detector.isDue(Double(second)) {
      polls += 1
      detector.add(snapshot(Double(second), allocs: 9, objects: [0: 9]))
      if second < 200 { #expect(polls == second) }
    }
    #expect(polls < 1500)
    #expect(detector.now > 7160)
  }
}

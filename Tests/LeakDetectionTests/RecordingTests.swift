import Profile
import Testing

@testable import LeakDetection

@Suite("recordings of snapshots")
struct RecordingTests {
  /// An hour of leaks and caches, polled at uneven times and with a gap; every tenth poll is one without cohorts.
  private func polls(sampling: Int) -> [Snapshot] {
    var program = SyntheticProgram(
      seed: 5,
      [
        Behaviour.partial(rate: 1, leak: 1), Behaviour.partial(rate: 20, leak: 0.01),
        Behaviour.saturating(rate: 2, time: 600), Behaviour.queue(rate: 5, stall: 1000..<1600),
      ])
    program.sampling = sampling
    var polls: [Snapshot] = []
    var step = 1.0
    while program.now < 3600 {
      step = step > 12 ? 1.1 : step * 1.37
      program.advance(to: program.now + (polls.count == 300 ? 90 : step))
      var snapshot = program.snapshot()
      if polls.count % 10 == 9 { snapshot.cohorts = nil }
      polls.append(snapshot)
    }
    return polls
  }

  @Test("a detector that is told from a recording says what the one said that saw it", arguments: [1, 4])
  func replay(sampling: Int) throws {
    var live = Detector()
    var replayed = Detector()
    var reader = RecordingReader()
    #expect(try reader.read(Recording.header) == nil)
    var levels: Set<Verdict.Level> = []
    for (number, poll) in polls(sampling: sampling).enumerated() {
      live.add(poll)
      replayed.add(try #require(try reader.read(Recording.line(poll))))
      guard number % 25 == 0 else { continue }
      let verdicts = live.verdicts()
      #expect(replayed.verdicts() == verdicts)
      levels.formUnion(verdicts.values.map(\.level))
    }
    #expect(replayed.verdicts() == live.verdicts())
    // They were about something.
    #expect(levels.contains(.warmingUp) && levels.contains(.watch) && levels.contains { $0 >= .likely })
  }

  /// What was written once is read for ever.
  static let text = [
    #"{"drip_recording":1}"#,
    #"{"t":0.1,"sites":[]}"#,
    #"{"t":1.5,"sites":[[7,0,9,4,18446744073709551615,400,null],[4294967295,1,3,0,48,0,2]],"width":0.5,"bins":3,"rows":[[7,[0,2,3],[0,200,18446744073709551615]],[4294967295,[4294967295,0,0],[1,2,3]]]}"#,
  ]
  static let snapshots = [
    Snapshot(elapsedSeconds: 0.1, sites: []),
    Snapshot(
      elapsedSeconds: 1.5,
      sites: [
        SiteCounts(id: 7, process: 0, allocs: 9, frees: 4, allocatedBytes: .max, freedBytes: 400),
        SiteCounts(
          id: .max, process: 1, allocs: 3, frees: 0, allocatedBytes: 48, freedBytes: 0,
          sampled: SampledOutstanding(objects: 2, bytesError: 0, countError: 0)),
      ],
      cohorts: BirthCohorts(
        width: 0.5, bins: 3,
        rows: [
          BirthCohorts.Row(site: 7, objects: [0, 2, 3], bytes: [0, 200, .max]),
          BirthCohorts.Row(site: .max, objects: [.max, 0, 0], bytes: [1, 2, 3]),
        ])),
  ]

  @Test("the format of version 1, with the greatest numbers")
  func format() throws {
    var reader = RecordingReader()
    #expect(try Self.text.map { try reader.read($0) } == [nil] + Self.snapshots)
    #expect([Recording.header] + Self.snapshots.map(Recording.line) == Self.text)
  }

  @Test("a line that was cut anywhere is refused, and told by its number")
  func cut() {
    for (index, line) in Self.text.enumerated() {
      for length in 0..<line.utf8.count {
        var reader = RecordingReader()
        if index > 0 { #expect(throws: Never.self) { try reader.read(Recording.header) } }
        let error = #expect(throws: RecordingError.self) { try reader.read(line.prefix(length)) }
        #expect(error?.line == min(index, 1) + 1)
      }
    }
  }

  @Test(
    "what cannot be is refused",
    arguments: [
      #"{"t":-1,"sites":[]}"#, #"{"t":nan,"sites":[]}"#, #"{"t":1e999,"sites":[]}"#,
      #"{"t":1e11,"sites":[]}"#,
      #"{"t":1,"sites":[]} "#, #"{"t":1,"sites":[[1,-1,0,0,0,0,null]]}"#,
      #"{"t":1,"sites":[[-1,0,0,0,0,0,null]]}"#,
      #"{"t":1,"sites":[[4294967296,0,0,0,0,0,null]]}"#,
      #"{"t":1,"sites":[[1,0,18446744073709551616,0,0,0,null]]}"#,
      #"{"t":1,"sites":[],"width":0,"bins":1,"rows":[]}"#,
      #"{"t":1,"sites":[],"width":1e-300,"bins":1,"rows":[]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":0,"rows":[]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":65,"rows":[]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":2,"rows":[[1,[1],[1]]]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":2,"rows":[[1,[1,2],[1]]]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":2,"rows":[[1,[1,2,3],[1,2,3]]]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":1,"rows":[[1,[4294967296],[1]]]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":1,"rows":[[2,[1],[1]],[1,[1],[1]]]}"#,
      #"{"t":1,"sites":[],"width":1,"bins":1,"rows":[[2,[1],[1]],[2,[1],[1]]]}"#, #"{"drip_recording":1}"#,
    ])
  func refused(line: String) throws {
    var reader = RecordingReader()
    _ = try reader.read(Recording.header)
    #expect(throws: RecordingError.self) { try reader.read(line) }
  }

  @Test(
    "another version is refused", arguments: ["{\"drip_recording\":2}", "{\"drip_recording\":0}", "[]", ""])
  func version(header: String) {
    var reader = RecordingReader()
    #expect(throws: RecordingError.self) { try reader.read(header) }
  }

  @Test("whatever is read of damaged lines, the detector lives with it")
  func damage() {
    var numbers = SeededNumbers(seed: 11)
    var accepted = 0
    for _ in 0..<2000 {
      var detector = Detector()
      var reader = RecordingReader()
      _ = try? reader.read(Recording.header)
      for poll in 1...6 {
        var line = Array(Self.text[2].replacing("\"t\":1.5", with: "\"t\":\(poll)").utf8)
        for _ in 0..<4 {
          let place = Int(numbers.unit() * Double(line.count))
          let isDigit = (48..<58).contains(line[place])
          // Mostly digits for digits, which a reader takes.
          if isDigit { line[place] = UInt8(48 + Int(numbers.unit() * 10)) }
          if !isDigit, numbers.unit() < 0.1 { line[place] = UInt8(numbers.unit() * 128) }
        }
        guard let snapshot = try? reader.read(String(decoding: line, as: UTF8.self)) else { continue }
        accepted += 1
        detector.add(snapshot)
      }
      for verdict in detector.verdicts().values { #expect(verdict.words.isEmpty == false) }
    }
    #expect(accepted > 1000)
  }
}

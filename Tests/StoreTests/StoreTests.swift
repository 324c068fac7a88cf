import Foundation
import GRDB
import Profile
import Testing

@testable import Store

@Suite("store")
struct StoreTests {
  @Test("what is written is read: growth, memory, the newest snapshot with names, suspicions first")
  func roundTrip() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    var record = interval(2000, [process(1), process(2)])
    record.growths = [growth(1), growth(2, rate: 500)]
    record.groups = [GroupRow(path: "/g", current: 5, swapped: 0, limit: nil, killed: 0)]
    record.run.intervals = 1
    record.run.cpuSeconds = 0.5
    try store.add(record)
    try store.add(snapshot(1, time: 2500, [site(["old"])]))
    let suspicion = StoredSuspicion(level: "watch", words: "it grows", evidence: #"{"a": 1}"#)
    try store.add(
      snapshot(
        1, time: 3000,
        [
          site(["big", "main"], bytes: 900), site(["leak", "main"], suspicion: suspicion),
          site(["s"], bytes: 50),
        ])
    )

    let report = try StoreReader.open(path: scratch.path).report(most: 10, sites: 2)
    #expect(report.growing.map(\.process.identity.pid) == [2, 1])
    #expect(report.growing[0].snapshot == nil)
    let one = report.growing[1]
    #expect(one.process == process(1))
    #expect(one.growth == growth(1))
    #expect(one.memory?.resident == 1 << 20 && one.memory?.anonymous == 1 << 19)
    let found = try #require(one.snapshot)
    #expect(found.time == 3000 && found.seenSeconds == 30 && found.sampleBytes == 4096)
    #expect(found.notes == ["one.", "two."])
    #expect(found.sites.map { $0.frames.map(\.function) } == [["leak", "main"], ["big", "main"]])
    #expect(found.sites.map(\.suspicion) == [suspicion, nil])
    #expect(found.sites[0].frames[0].buildID == "ab" && found.sites[0].frames[0].offset == 0x10)
    #expect(found.sites[1].outstandingBytes == 900 && found.sites[1].bytesError == 3)
    #expect(one.omittedSites == 1)
    #expect(report.runs.map(\.state.cpuSeconds) == [0.5] && report.runs[0].ended == nil)
    #expect(report.processes == 2 && report.samples == 2 && report.snapshots == 2)
  }

  @Test("a stack is stored once, and a run that ended says why")
  func sharing() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try store.add(interval(2000, [process(1), process(2)]))
    for time in [3000, 4000] as [Int64] {
      try store.add(snapshot(1, time: time, [site(["a", "b"]), site(["c", "b"])]))
      try store.add(snapshot(2, time: time, [site(["a", "b"])]))
    }
    try store.end(time: 5000, reason: "interrupted")
    #expect(try scratch.count("sites") == 2 && scratch.count("frames") == 3)
    #expect(try scratch.count("site_rows") == 6)
    let run = try StoreReader.open(path: scratch.path).report(most: 1, sites: 1).runs[0]
    #expect(run.ended == 5000 && run.reason == "interrupted")
  }

  @Test("what grew when a run ended, or was killed, is closed; what had ended before says why as it did")
  func closing() throws {
    let scratch = Scratch()
    var done = growth(2)
    (done.ended, done.reason) = (9000, "exited")
    do {
      let store = try scratch.open()
      var record = interval(2000, [process(1), process(2)])
      record.growths = [growth(1), done]
      try store.add(record)
    }
    let store = try scratch.open()
    func ends() throws -> [String?] {
      try StoreReader.open(path: scratch.path).report(most: 9, sites: 1).growing
        .sorted { ($0.process.identity.pid, $0.growth.since) < ($1.process.identity.pid, $1.growth.since) }
        .map(\.growth.reason)
    }
    #expect(try ends() == ["drip ended", "exited"])
    var record = interval(3000, [process(1)])
    record.growths = [growth(1, since: 2500)]
    try store.add(record)
    #expect(try ends() == ["drip ended", nil, "exited"])
    try store.end(time: 4000, reason: "interrupted")
    #expect(try ends() == ["drip ended", "drip ended", "exited"])
  }

  @Test("stacks of one snapshot that are the same are added up")
  func merging() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try store.add(interval(2000, [process(1)]))
    try store.add(snapshot(1, [site(["a"], bytes: 10), site(["a"], bytes: 5)]))
    let sums = try scratch.sqlite {
      try Row.fetchAll($0, sql: "SELECT allocs, outstanding_bytes, bytes_error FROM site_rows")
    }
    #expect(sums.count == 1 && sums[0]["allocs"] == 14 && sums[0]["outstanding_bytes"] == 15)
    let error: Double = sums[0]["bytes_error"]
    #expect(abs(error - 18.squareRoot()) < 1e-9)
  }

  @Test("a number that is used again, and a program that is executed, are processes of their own")
  func identities() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try store.add(interval(2000, [process(1), process(1, start: 6), process(1, image: 2)]))
    var gone = IntervalRecord(time: 3000)
    gone.gone = [process(1).identity]
    try store.add(gone)
    // Seen again by a later look: it is not gone.
    try store.add(interval(4000, [process(1, start: 6)]))
    let ended = try scratch.sqlite {
      try Row.fetchAll($0, sql: "SELECT start_ticks, image, ended_ms FROM processes ORDER BY id")
    }
    #expect(ended.map { $0["ended_ms"] as Int64? } == [3000, nil, nil])
  }

  @Test("the file is its owner's alone, its folder too")
  func permissions() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try store.add(interval(2000, [process(1)]))
    for (name, mode) in [("", 0o600), ("-wal", 0o600), ("-shm", 0o600), ("-lock", 0o600)] {
      var status = stat()
      #expect(stat(scratch.path + name, &status) == 0)
      #expect(status.st_mode & 0o777 == mode, "\(name)")
    }
    var status = stat()
    #expect(stat(scratch.folder + "/s", &status) == 0 && status.st_mode & 0o777 == 0o700)
  }

  @Test("a folder that others may write to, a link, a file with two names: refused, with the next step")
  func unsafe() throws {
    let scratch = Scratch()
    chmod(scratch.folder, 0o777)
    let open = scratch.folder + "/a.db"
    #expect(throws: StoreError.unsafe(path: scratch.folder, reason: "may be written to by others")) {
      try Store.open(path: open, boot: "b")
    }
    chmod(scratch.folder, 0o700)
    symlink("/dev/null", scratch.folder + "/l.db")
    #expect(throws: StoreError.unsafe(path: scratch.folder + "/l.db", reason: "is a symbolic link")) {
      try Store.open(path: scratch.folder + "/l.db", boot: "b")
    }
    try Data().write(to: URL(fileURLWithPath: scratch.folder + "/one"))
    link(scratch.folder + "/one", scratch.folder + "/two")
    #expect(throws: StoreError.unsafe(path: scratch.folder + "/two", reason: "has another name, too")) {
      try Store.open(path: scratch.folder + "/two", boot: "b")
    }
    #expect(StoreError.unsafe(path: "x", reason: "y").description.contains("0700"))
  }

  @Test("one writer at a time, who is named; readers beside it")
  func lock() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    #expect(throws: StoreError.inUse(path: scratch.path, pid: getpid())) {
      try Store.open(path: scratch.path, boot: "b")
    }
    _ = try StoreReader.open(path: scratch.path)
    withExtendedLifetime(store) {}
  }
}

import Foundation
import GRDB
import Profile
import Testing

@testable import Store

@Suite("store, when things go wrong")
struct DamageTests {
  @Test("files that are no stores are left as they are")
  func foreign() throws {
    let scratch = Scratch()
    let text = scratch.folder + "/text"
    try String(repeating: "no data base. ", count: 20).write(toFile: text, atomically: true, encoding: .utf8)
    #expect(throws: StoreError.foreign(path: text)) { try Store.open(path: text, boot: "b") }
    #expect(throws: StoreError.foreign(path: text)) { try StoreReader.open(path: text) }
    #expect(try String(contentsOfFile: text, encoding: .utf8).hasPrefix("no data base."))

    let other = scratch.folder + "/other.db"
    try DatabaseQueue(path: other).write { try $0.execute(sql: "CREATE TABLE t (a)") }
    #expect(throws: StoreError.foreign(path: other)) { try Store.open(path: other, boot: "b") }
    #expect(throws: StoreError.foreign(path: other)) { try StoreReader.open(path: other) }

    let short = scratch.folder + "/short"
    try Data("SQLite format 3\0".utf8).write(to: URL(fileURLWithPath: short))
    #expect(throws: StoreError.foreign(path: short)) { try Store.open(path: short, boot: "b") }
  }

  @Test("none there, none whole, a newer one")
  func missing() throws {
    let scratch = Scratch()
    #expect(throws: StoreError.missing(path: scratch.path)) { try StoreReader.open(path: scratch.path) }
    mkdir(scratch.folder + "/s", 0o700)
    try Data().write(to: URL(fileURLWithPath: scratch.path))
    #expect(throws: StoreError.missing(path: scratch.path)) { try StoreReader.open(path: scratch.path) }
    // Empty files become stores: so much may be left of a start that was killed.
    do { _ = try scratch.open() }
    try DatabaseQueue(path: scratch.path).write {
      try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99 of the future')")
    }
    #expect(throws: StoreError.newer(path: scratch.path)) { try Store.open(path: scratch.path, boot: "b") }
    #expect(throws: StoreError.newer(path: scratch.path)) { try StoreReader.open(path: scratch.path) }
  }

  @Test("damaged pages are told as such, with the next step")
  func corrupt() throws {
    let scratch = Scratch()
    do {
      let store = try scratch.open()
      for time in 1...50 { try store.add(interval(Int64(time) * 1000, (1...40).map { process($0) })) }
      _ = try store.retain(Retention(), time: 50_000)
    }
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: scratch.path))
    let size = try file.seekToEnd()
    try file.seek(toOffset: 4096)
    try file.write(contentsOf: Data(repeating: 0xa5, count: Int(size) - 4096))
    try file.close()
    let error = #expect(throws: StoreError.self) {
      let store = try Store.open(path: scratch.path, boot: "b")
      try store.begin(time: 1, drip: "1", kernel: "6", intervalSeconds: 1)
    }
    guard case .corrupt = error else { throw Failed(error: error) }
    #expect(error?.description.contains(".recover") == true)
    let second = #expect(throws: StoreError.self) {
      try StoreReader.open(path: scratch.path).report(most: 1, sites: 1)
    }
    guard case .corrupt = second else { throw Failed(error: second) }
  }

  @Test(
    "a full disk: told as such, the interval is lost whole, and the next is written once there is room",
    .enabled(if: geteuid() == 0))
  func full() throws {
    let scratch = Scratch()
    mkdir(scratch.folder + "/s", 0o700)
    try #require(mount("drip-test", scratch.folder + "/s", "tmpfs", 0, "size=2m,mode=700") == 0)
    defer { umount2(scratch.folder + "/s", Int32(MNT_DETACH)) }
    let filler = scratch.folder + "/s/filler"
    try Data(count: 512 << 10).write(to: URL(fileURLWithPath: filler))
    let store = try scratch.open()
    let processes = (1...100).map { process($0) }
    var time: Int64 = 1
    var error: StoreError?
    while error == nil, time < 10_000 {
      do throws(StoreError) {
        try store.add(interval(time, processes))
        time += 1
      } catch let thrown {
        error = thrown
      }
    }
    #expect(error == .full(path: scratch.path))
    #expect(
      try StoreReader.open(path: scratch.path).report(most: 1, sites: 1).samples == UInt64(time - 1) * 100)
    unlink(filler)
    try store.add(interval(time, processes))
    #expect(try StoreReader.open(path: scratch.path).report(most: 1, sites: 1).samples == UInt64(time) * 100)
    #expect(try scratch.sqlite { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
  }

  @Test("killed at any moment: the store is whole, and holds every interval that was told", arguments: 1...6)
  func killed(round: Int) throws {
    let scratch = Scratch()
    let writer = try WriterProcess(path: scratch.path)
    writer.wait(for: round * 7)
    usleep(UInt32.random(in: 0...20_000))
    let told = max(writer.kill(), round * 7)
    #expect(told >= round * 7)
    #expect(try scratch.sqlite { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
    let report = try StoreReader.open(path: scratch.path).report(most: 1, sites: 1)
    let intervals = report.runs[0].state.intervals
    // The one after the last that was told may have been committed.
    #expect(intervals == UInt64(told) || intervals == UInt64(told) + 1)
    // All of an interval or nothing.
    #expect(report.samples == intervals * 200)
    #expect(report.runs[0].ended == nil)
    // It can be written to again, at once.
    let store = try scratch.open()
    try store.add(interval(99_000_000, [process(1)]))
  }

  @Test("a reader sees whole intervals while somebody writes")
  func concurrentReader() throws {
    let scratch = Scratch()
    let writer = try WriterProcess(path: scratch.path, pause: 1)
    writer.wait(for: 3)
    var seen: Set<UInt64> = []
    for _ in 1...60 {
      let report = try StoreReader.open(path: scratch.path).report(most: 1, sites: 1)
      #expect(report.samples == report.runs[0].state.intervals * 200)
      seen.insert(report.samples)
    }
    #expect(seen.count > 3)
    _ = writer.kill()
  }
}

struct Failed: Error { let error: StoreError? }

import Foundation
import GRDB
import Profile
import Testing

@testable import Store

@Suite("retention")
struct RetentionTests {
  /// Ten processes, a sample each at 1, 2, ... s.
  private func fill(_ store: Store, _ seconds: ClosedRange<Int64>, pids: ClosedRange<Int32> = 1...10) throws {
    for second in seconds {
      try store.add(interval(second * 1000, second == seconds.lowerBound ? pids.map { process($0) } : []))
      var record = IntervalRecord(time: second * 1000)
      record.memory = pids.map {
        MemoryRow(process: process($0).identity, resident: 1, anonymous: 1, swapped: 0)
      }
      try store.add(record)
    }
  }

  @Test("by age: what is older goes, with what nothing refers to any more; what the writer knows stays")
  func age() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try fill(store, 1...100)
    // Two that end early, one of them with a growth that was seen late.
    var record = interval(50_500, [process(11), process(12)])
    record.gone = [process(11).identity, process(12).identity]
    record.growths = [growth(1, since: 1000, seen: 2000), growth(12, since: 3000, seen: 90_000)]
    try store.add(record)
    try store.add(snapshot(1, time: 5000, [site(["old", "main"])]))
    try store.add(snapshot(2, time: 95_000, [site(["new", "main"])]))

    let result = try store.retain(Retention(age: 20), time: 110_000)
    #expect(result.oldest == 90_000)
    // Samples of 1 to 89 s, two at 50.5 s; one snapshot, one growth.
    #expect(result.deleted == 89 * 10 + 2 + 1 + 1)
    #expect(try scratch.count("samples") == 11 * 10)
    #expect(try scratch.count("snapshots") == 1)
    #expect(try scratch.count("growths") == 1)
    #expect(try scratch.count("sites") == 1)
    let names = try scratch.sqlite {
      try String.fetchAll($0, sql: "SELECT function FROM frames ORDER BY function")
    }
    #expect(names == ["main", "new"])
    let pids = try scratch.sqlite { try Int.fetchAll($0, sql: "SELECT pid FROM processes ORDER BY pid") }
    #expect(pids == Array(1...10) + [12])
    // Nothing was written of them for long, and yet the writer goes on to write of them.
    _ = try store.retain(Retention(age: 5), time: 200_000)
    #expect(try scratch.count("processes") == 10)
    try fill(store, 201...201)
    #expect(try scratch.count("samples") == 10)
  }

  @Test("by size: the file shrinks on disk, the oldest went, the newest stays")
  func size() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try fill(store, 1...3000, pids: 1...10)
    _ = try store.retain(Retention(), time: 3_000_000)
    let before = store.bytes
    let limit = before / 2
    let result = try store.retain(Retention(bytes: limit), time: 3_000_000)
    #expect(result.before == before && result.after <= limit && store.bytes == result.after)
    // Not much more than has to.
    #expect(result.after > limit / 2)
    #expect(!result.isHeldByReader && !result.isStillTooLarge)
    let oldest = try #require(result.oldest)
    #expect(oldest > 1_000_000)
    let (first, last) = try scratch.sqlite {
      (
        try Int64.fetchOne($0, sql: "SELECT min(time_ms) FROM samples"),
        try Int64.fetchOne($0, sql: "SELECT max(time_ms) FROM samples")
      )
    }
    #expect(first == oldest && last == 3_000_000)
    #expect(try scratch.sqlite { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
  }

  @Test("a limit below what an empty store takes is told, and does not run for ever")
  func tooSmall() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try fill(store, 1...20)
    let result = try store.retain(Retention(bytes: 1), time: 20_000)
    #expect(result.isStillTooLarge)
    #expect(try scratch.sqlite { try Int64.fetchOne($0, sql: "SELECT max(time_ms) FROM samples") } == 20_000)
  }

  @Test("a reader that stays holds the log, which is told")
  func held() throws {
    let scratch = Scratch()
    let store = try scratch.open()
    try fill(store, 1...500)
    let reader = try DatabaseQueue(path: scratch.path)
    let result = try reader.read { db in
      _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM samples")
      return try store.retain(Retention(bytes: 1 << 14), time: 500_000)
    }
    #expect(result.isHeldByReader)
    #expect(try !store.retain(Retention(bytes: 1 << 20), time: 500_000).isHeldByReader)
  }
}

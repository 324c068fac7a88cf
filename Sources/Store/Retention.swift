import GRDB

/// How much a store keeps. What is oldest goes first.
public struct Retention: Sendable, Hashable {
  /// Seconds.
  public var age: Double
  /// Bytes on disk.
  public var bytes: UInt64

  public init(age: Double = 14 * 86_400, bytes: UInt64 = 512 << 20) {
    self.age = age
    self.bytes = bytes
  }
}

/// What a clean-up has done.
public struct RetentionResult: Sendable, Hashable {
  /// Rows of samples, snapshots and growths that went.
  public var deleted: UInt64 = 0
  /// Milliseconds since 1970: nothing older is left.
  public var oldest: Int64?
  /// Bytes on disk before and after.
  public var before: UInt64 = 0
  public var after: UInt64 = 0
  /// Somebody who reads for long keeps the log from being cut back.
  public var isHeldByReader = false
  /// What is left is all of the newest interval's and yet too much.
  public var isStillTooLarge = false

  public init() {}
}

extension Store {
  /// Deletes what is too old, then what is oldest until the rest fits, and gives the room back to the file system.
  /// `time` is now, in milliseconds since 1970. Runs and processes that run are kept, for they are few.
  public func retain(_ retention: Retention, time: Int64) throws(StoreError) -> RetentionResult {
    var result = RetentionResult()
    result.before = bytes
    result.deleted += try delete(before: time - Int64(min(retention.age, 1e9) * 1000))
    try shrink(&result)
    // Each round takes a tenth of the time that is left, so that little more goes than has to.
    while bytes > retention.bytes {
      guard let span = try span(), let newest = span.last, newest > span.first else {
        result.isStillTooLarge = !result.isHeldByReader
        break
      }
      let boundary = span.first + max((newest - span.first) / 10, 1)
      result.deleted += try delete(before: boundary)
      try shrink(&result)
      if result.isHeldByReader { break }
    }
    result.after = bytes
    result.oldest = try span()?.first
    return result
  }

  private struct Span {
    var first: Int64
    var last: Int64?
  }

  /// The oldest and newest times of what can be deleted; nil if there is nothing.
  private func span() throws(StoreError) -> Span? {
    try write { db in
      let row = try Row.fetchOne(
        db,
        sql: """
          SELECT min(first) AS first, max(last) AS last FROM (
            SELECT min(time_ms) AS first, max(time_ms) AS last FROM samples
            UNION ALL SELECT min(time_ms), max(time_ms) FROM cgroup_samples
            UNION ALL SELECT min(time_ms), max(time_ms) FROM snapshots
            UNION ALL SELECT min(seen_ms), max(seen_ms) FROM growths)
          """)
      guard let row, let first = row["first"] as Int64? else { return nil }
      return Span(first: first, last: row["last"])
    }
  }

  private func delete(before time: Int64) throws(StoreError) -> UInt64 {
    let run = run
    // The writer still refers to these.
    let kept = Set(processes.values)
    let deleted = try write { db in
      var count = 0
      for sql in [
        "DELETE FROM samples WHERE time_ms < ?", "DELETE FROM cgroup_samples WHERE time_ms < ?",
        "DELETE FROM snapshots WHERE time_ms < ?", "DELETE FROM growths WHERE seen_ms < ?",
      ] {
        try db.execute(sql: sql, arguments: [time])
        count += db.changesCount
      }
      guard count > 0 else { return 0 }
      let unused = try Int64.fetchAll(
        db,
        sql: """
          SELECT id FROM processes p WHERE last_ms < ?
            AND NOT EXISTS (SELECT 1 FROM growths g WHERE g.process = p.id)
            AND NOT EXISTS (SELECT 1 FROM snapshots s WHERE s.process = p.id)
          """, arguments: [time])
      for id in unused where !kept.contains(id) {
        try db.execute(sql: "DELETE FROM processes WHERE id = ?", arguments: [id])
      }
      try db.execute(sql: "DELETE FROM runs WHERE seen_ms < ? AND id <> ?", arguments: [time, run])
      try db.execute(
        sql: """
          DELETE FROM cgroups WHERE id NOT IN (SELECT cgroup FROM processes WHERE cgroup IS NOT NULL)
            AND id NOT IN (SELECT cgroup FROM cgroup_samples);
          DELETE FROM sites WHERE id NOT IN (SELECT site FROM site_rows);
          DELETE FROM frames WHERE id NOT IN (SELECT value FROM sites, json_each(sites.stack));
          """)
      return count
    }
    if deleted > 0 { groups = [:] }
    return UInt64(deleted)
  }

  /// Gives freed pages back, and the log's.
  private func shrink(_ result: inout RetentionResult) throws(StoreError) {
    do {
      result.isHeldByReader = try database.writeWithoutTransaction { db in
        // Each step of the statement frees one page.
        let free = try Row.fetchCursor(db, sql: "PRAGMA incremental_vacuum")
        while try free.next() != nil {}
        let row = try Row.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        return (row?[0] as Int64?) ?? 0 != 0
      }
    } catch {
      throw StoreError(error, path: path)
    }
  }
}

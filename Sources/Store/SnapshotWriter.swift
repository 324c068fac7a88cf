import GRDB
import Profile

/// Writes a snapshot within a transaction. Frames and stacks are stored once, whichever process and snapshot they are of:
/// a stack is the list of its frames' rows, so two that differ are never taken for one.
struct SnapshotWriter {
  let db: Database

  func write(_ snapshot: StoredSnapshot, run: Int64, process: Int64) throws {
    try db.execute(
      sql: """
        INSERT INTO snapshots (run, process, time_ms, watched_seconds, seen_seconds, sample_bytes, losses, notes)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        run, process, snapshot.time, snapshot.watchedSeconds, snapshot.seenSeconds,
        Int64(stored: snapshot.sampleBytes), Int64(stored: snapshot.losses),
        snapshot.notes.joined(separator: "\n"),
      ])
    let id = db.lastInsertedRowID
    var frames: [Frame: Int64] = [:]
    for site in snapshot.sites { try write(site, snapshot: id, &frames) }
  }

  private func write(_ site: StoredSite, snapshot: Int64, _ frames: inout [Frame: Int64]) throws {
    let stack = try self.stack(site, &frames)
    // Two sites of a snapshot may have one stack: the same code mapped at two places. They are one here.
    try db.cachedStatement(
      sql: """
        INSERT INTO site_rows (snapshot, site, allocs, frees, allocated_bytes, outstanding_count, outstanding_bytes,
          bytes_error, oldest_seconds) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT DO UPDATE SET allocs = allocs + ?3, frees = frees + ?4, allocated_bytes = allocated_bytes + ?5,
          outstanding_count = outstanding_count + ?6, outstanding_bytes = outstanding_bytes + ?7,
          bytes_error = sqrt(ifnull(bytes_error * bytes_error, 0) + ifnull(?8 * ?8, 0)),
          oldest_seconds = max(ifnull(oldest_seconds, ?9), ifnull(?9, oldest_seconds))
        """
    ).execute(arguments: [
      snapshot, stack, Int64(stored: site.allocs), Int64(stored: site.frees),
      Int64(stored: site.allocatedBytes),
      Int64(stored: site.outstandingCount), Int64(stored: site.outstandingBytes), site.bytesError,
      site.oldestSeconds,
    ])
    guard let suspicion = site.suspicion else { return }
    try db.cachedStatement(
      sql: "INSERT OR IGNORE INTO suspicions (snapshot, site, level, words, evidence) VALUES (?, ?, ?, ?, ?)"
    ).execute(arguments: [snapshot, stack, suspicion.level, suspicion.words, suspicion.evidence])
  }

  private func stack(_ site: StoredSite, _ frames: inout [Frame: Int64]) throws -> Int64? {
    let ids = try site.frames.map { try String(frame($0, &frames)) }
    let insert = try db.cachedStatement(
      sql:
        "INSERT INTO sites (stack, stack_end) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET stack = ?1 RETURNING id"
    )
    try insert.setArguments(["[" + ids.joined(separator: ",") + "]", site.end.rawValue])
    return try Int64.fetchOne(insert)
  }

  private func frame(_ frame: Frame, _ known: inout [Frame: Int64]) throws -> Int64 {
    if let id = known[frame] { return id }
    let insert = try db.cachedStatement(
      sql: """
        INSERT INTO frames (function, module, build_id, offset, file, line, inlined) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT DO UPDATE SET line = ?6 RETURNING id
        """)
    try insert.setArguments([
      frame.function ?? "", frame.module ?? "", frame.buildID ?? "", Int64(bitPattern: frame.offset),
      frame.file ?? "", Int64(frame.line ?? 0), frame.inlined,
    ])
    let id = try Int64.fetchOne(insert) ?? 0
    known[frame] = id
    return id
  }
}

import GRDB
import Profile

/// The queries behind a report, within one transaction.
struct StoreQuery {
  let db: Database

  func report(path: String, most: Int, sites: Int) throws -> StoreReport {
    let all = try count("growths")
    let growing = try growing(most: most, sites: sites)
    return StoreReport(
      path: path, bytes: StoreFile.size(path), runs: try runs(), processes: try count("processes"),
      samples: try count("samples"), snapshots: try count("snapshots"), growing: growing,
      omitted: Int(all) - growing.count)
  }

  private func count(_ table: String) throws -> UInt64 {
    UInt64(try Int64.fetchOne(db, sql: "SELECT count(*) FROM \(table)") ?? 0)
  }

  private func runs() throws -> [StoreReport.Run] {
    try Row.fetchAll(db, sql: "SELECT * FROM runs ORDER BY id DESC LIMIT 10").map { row in
      var state = RunState()
      state.intervals = row.unsigned("intervals")
      state.cpuSeconds = row["cpu_seconds"]
      state.resident = row.unsigned("rss")
      state.lostIntervals = row.unsigned("lost_intervals")
      state.unread = row.unsigned("unread")
      return StoreReport.Run(
        started: row["started_ms"], seen: row["seen_ms"], ended: row["ended_ms"], reason: row["ended"],
        drip: row["drip"], kernel: row["kernel"], intervalSeconds: row["interval_seconds"], state: state)
    }
  }

  private func growing(most: Int, sites: Int) throws -> [StoreReport.Growing] {
    let rows = try Row.fetchAll(
      db,
      sql: """
        SELECT g.*, p.id AS process_id, p.pid, p.start_ticks, p.image, p.comm, p.exe, p.build_id, p.last_ms,
          p.ended_ms AS exited_ms, ifnull(c.path, '') AS cgroup_path
        FROM growths g JOIN processes p ON p.id = g.process LEFT JOIN cgroups c ON c.id = p.cgroup
        ORDER BY g.ended_ms IS NULL DESC, g.bytes_per_second DESC, g.id LIMIT ?
        """, arguments: [most])
    return try rows.map { row in
      let identity = ProcessIdentity(
        pid: Int32(truncatingIfNeeded: row["pid"] as Int64),
        startTicks: UInt64(bitPattern: row["start_ticks"]),
        image: UInt64(bitPattern: row["image"]))
      let process: Int64 = row["process_id"]
      let (snapshot, omitted) = try snapshot(of: process, identity, sites: sites)
      return StoreReport.Growing(
        process: StoredProcess(
          identity: identity, command: row["comm"], executable: row["exe"], buildID: row["build_id"],
          cgroup: row["cgroup_path"]),
        growth: GrowthRow(
          process: identity, since: row["since_ms"], told: row["told_ms"], seen: row["seen_ms"],
          ended: row["ended_ms"], reason: row["ended"], bytesPerSecond: row["bytes_per_second"],
          low: row["low"], high: row["high"], from: row.unsigned("from_bytes"), to: row.unsigned("to_bytes")),
        lastSeen: row["last_ms"], exited: row["exited_ms"],
        memory: try memory(of: process, identity, at: row["last_ms"]), snapshot: snapshot,
        omittedSites: omitted)
    }
  }

  /// Every sample of a process notes its time in the process's row, so the newest is found without a search; that of
  /// one that has exited stands before the end.
  private func memory(of process: Int64, _ identity: ProcessIdentity, at time: Int64) throws -> MemoryRow? {
    let row = try Row.fetchOne(
      db,
      sql: """
        SELECT rss, anon, swap FROM samples WHERE time_ms <= ?1 AND time_ms >= ?1 - 600000 AND process = ?2
        ORDER BY time_ms DESC LIMIT 1
        """, arguments: [time, process])
    return row.map {
      MemoryRow(
        process: identity, resident: $0.unsigned("rss"), anonymous: $0.unsigned("anon"),
        swapped: $0.unsigned("swap"))
    }
  }

  private func snapshot(
    of process: Int64, _ identity: ProcessIdentity, sites: Int
  ) throws -> (StoredSnapshot?, omitted: Int) {
    let newest = try Row.fetchOne(
      db, sql: "SELECT * FROM snapshots WHERE process = ? ORDER BY time_ms DESC, id DESC LIMIT 1",
      arguments: [process])
    guard let newest else { return (nil, 0) }
    let id: Int64 = newest["id"]
    let rows = try Row.fetchAll(
      db,
      sql: """
        SELECT r.*, s.stack, s.stack_end, u.level, u.words, u.evidence
        FROM site_rows r JOIN sites s ON s.id = r.site
          LEFT JOIN suspicions u ON u.snapshot = r.snapshot AND u.site = r.site
        WHERE r.snapshot = ? ORDER BY u.level IS NULL, r.outstanding_bytes DESC, r.site LIMIT ?
        """, arguments: [id, sites])
    let all = try Int64.fetchOne(
      db, sql: "SELECT count(*) FROM site_rows WHERE snapshot = ?", arguments: [id])
    let notes: String = newest["notes"]
    let snapshot = StoredSnapshot(
      process: identity, time: newest["time_ms"], watchedSeconds: newest["watched_seconds"],
      seenSeconds: newest["seen_seconds"], sampleBytes: newest.unsigned("sample_bytes"),
      losses: newest.unsigned("losses"), notes: notes.split(separator: "\n").map(String.init),
      sites: try rows.map(site))
    return (snapshot, Int(all ?? 0) - rows.count)
  }

  private func site(_ row: Row) throws -> StoredSite {
    let level: String? = row["level"]
    return StoredSite(
      frames: try frames(row["stack"]), end: StackEnd(rawValue: row["stack_end"]) ?? .missing,
      allocs: row.unsigned("allocs"), frees: row.unsigned("frees"),
      allocatedBytes: row.unsigned("allocated_bytes"), outstandingCount: row.unsigned("outstanding_count"),
      outstandingBytes: row.unsigned("outstanding_bytes"), bytesError: row["bytes_error"],
      oldestSeconds: row["oldest_seconds"],
      suspicion: level.map { StoredSuspicion(level: $0, words: row["words"], evidence: row["evidence"]) })
  }

  private func frames(_ stack: String) throws -> [Frame] {
    try Row.fetchAll(
      db, sql: "SELECT f.* FROM json_each(?) j JOIN frames f ON f.id = j.value ORDER BY j.key",
      arguments: [stack]
    ).map { row in
      func text(_ name: String) -> String? {
        let text: String = row[name]
        return text.isEmpty ? nil : text
      }
      let offset = UInt64(bitPattern: row["offset"])
      let line: Int64 = row["line"]
      return Frame(
        address: offset, function: text("function"), module: text("module"), buildID: text("build_id"),
        offset: offset, file: text("file"), line: line > 0 ? Int(line) : nil, inlined: row["inlined"])
    }
  }
}

extension Row {
  /// Sizes and counts, which are never below 0.
  func unsigned(_ name: String) -> UInt64 {
    let value: Int64 = self[name]
    return UInt64(Swift.max(value, 0))
  }
}

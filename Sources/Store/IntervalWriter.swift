import GRDB

/// Writes an interval within a transaction.
struct IntervalWriter {
  let db: Database
  let run: Int64
  let boot: String
  var processes: [ProcessIdentity: Int64]
  var groups: [String: Int64]

  mutating func write(_ record: IntervalRecord) throws {
    for process in record.processes { try write(process, record.time) }
    try write(record.memory, record.time)
    try write(record.groups, record.time)
    for growth in record.growths { try write(growth) }
    for identity in record.gone {
      guard let row = processes.removeValue(forKey: identity) else { continue }
      try statement("UPDATE processes SET ended_ms = ?, last_ms = ? WHERE id = ?").execute(
        arguments: [record.time, record.time, row])
    }
    let state = record.run
    try statement(
      """
      UPDATE runs SET seen_ms = ?, intervals = ?, cpu_seconds = ?, rss = ?, lost_intervals = ?, unread = ? WHERE id = ?
      """
    ).execute(arguments: [
      record.time, Int64(stored: state.intervals), state.cpuSeconds, Int64(stored: state.resident),
      Int64(stored: state.lostIntervals), Int64(stored: state.unread), run,
    ])
  }

  private func statement(_ sql: String) throws -> Statement { try db.cachedStatement(sql: sql) }

  private mutating func write(_ process: StoredProcess, _ time: Int64) throws {
    let identity = process.identity
    let group = process.cgroup.isEmpty ? nil : try self.group(process.cgroup)
    let insert = try statement(
      """
      INSERT INTO processes (boot, pid, start_ticks, image, comm, exe, build_id, cgroup, first_ms, last_ms)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
      ON CONFLICT DO UPDATE SET comm = ?5, exe = ?6, build_id = ?7, cgroup = ?8, last_ms = ?9, ended_ms = NULL
      RETURNING id
      """)
    try insert.setArguments([
      boot, Int64(identity.pid), Int64(bitPattern: identity.startTicks), Int64(bitPattern: identity.image),
      process.command, process.executable, process.buildID, group, time,
    ])
    processes[identity] = try Int64.fetchOne(insert)
  }

  private mutating func group(_ path: String) throws -> Int64? {
    if let known = groups[path] { return known }
    // Groups come and go for ever on some machines; a row that is forgotten here is found again.
    if groups.count >= 4096 { groups = [:] }
    let insert = try statement(
      "INSERT INTO cgroups (path) VALUES (?1) ON CONFLICT DO UPDATE SET path = ?1 RETURNING id")
    try insert.setArguments([path])
    groups[path] = try Int64.fetchOne(insert)
    return groups[path]
  }

  private func write(_ rows: [MemoryRow], _ time: Int64) throws {
    let insert = try statement(
      "INSERT OR REPLACE INTO samples (time_ms, process, rss, anon, swap) VALUES (?, ?, ?, ?, ?)")
    let touch = try statement("UPDATE processes SET last_ms = ? WHERE id = ?")
    for row in rows {
      guard let process = processes[row.process] else { continue }
      try insert.execute(arguments: [
        time, process, Int64(stored: row.resident), Int64(stored: row.anonymous), Int64(stored: row.swapped),
      ])
      try touch.execute(arguments: [time, process])
    }
  }

  private mutating func write(_ rows: [GroupRow], _ time: Int64) throws {
    for row in rows {
      guard let group = try group(row.path) else { continue }
      try statement(
        "INSERT OR REPLACE INTO cgroup_samples (time_ms, cgroup, current, swap, most, oom_kills) VALUES (?, ?, ?, ?, ?, ?)"
      ).execute(arguments: [
        time, group, Int64(stored: row.current), Int64(stored: row.swapped),
        row.limit.map(Int64.init(stored:)), Int64(stored: row.killed),
      ])
    }
  }

  private func write(_ row: GrowthRow) throws {
    guard let process = processes[row.process] else { return }
    try statement(
      """
      INSERT INTO growths (process, run, since_ms, told_ms, seen_ms, ended_ms, ended, bytes_per_second, low, high,
        from_bytes, to_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
      ON CONFLICT DO UPDATE SET seen_ms = ?5, ended_ms = ?6, ended = ?7, bytes_per_second = ?8, low = ?9, high = ?10,
        to_bytes = ?12
      """
    ).execute(arguments: [
      process, run, row.since, row.told, row.seen, row.ended, row.reason, row.bytesPerSecond, row.low,
      row.high, Int64(stored: row.from), Int64(stored: row.to),
    ])
  }
}

import GRDB

/// The tables of a store; docs/production.md describes them. Times are milliseconds since 1970, sizes bytes. What is not
/// known of a name is an empty text, so that names can be told apart by an index.
///
/// Samples name their process without a foreign key: it would have SQLite search all of them for each process that is
/// deleted. A process is deleted after its samples only (`Store.retain`).
enum Schema {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    // A migration that was released is never changed: a further one follows it.
    migrator.registerMigration("1 processes and sites") { db in
      try db.execute(sql: processes)
      try db.execute(sql: sites)
    }
    return migrator
  }

  private static let processes = """
    CREATE TABLE runs (
      id INTEGER PRIMARY KEY, boot TEXT NOT NULL, drip TEXT NOT NULL, kernel TEXT NOT NULL, pid INTEGER NOT NULL,
      started_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, ended_ms INTEGER, ended TEXT,
      interval_seconds REAL NOT NULL, intervals INTEGER NOT NULL DEFAULT 0,
      cpu_seconds REAL NOT NULL DEFAULT 0, rss INTEGER NOT NULL DEFAULT 0,
      lost_intervals INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE cgroups (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
    CREATE TABLE processes (
      id INTEGER PRIMARY KEY, boot TEXT NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL,
      image INTEGER NOT NULL, comm TEXT NOT NULL, exe TEXT NOT NULL, build_id TEXT NOT NULL,
      cgroup INTEGER REFERENCES cgroups(id), first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, ended_ms INTEGER,
      UNIQUE (boot, pid, start_ticks, image));
    CREATE INDEX processes_by_build ON processes (build_id);
    CREATE INDEX processes_by_last ON processes (last_ms);
    CREATE TABLE samples (
      time_ms INTEGER NOT NULL, process INTEGER NOT NULL, rss INTEGER NOT NULL, anon INTEGER NOT NULL,
      swap INTEGER NOT NULL, PRIMARY KEY (time_ms, process)) WITHOUT ROWID;
    CREATE TABLE cgroup_samples (
      time_ms INTEGER NOT NULL, cgroup INTEGER NOT NULL, current INTEGER NOT NULL,
      swap INTEGER NOT NULL, most INTEGER, oom_kills INTEGER NOT NULL,
      PRIMARY KEY (time_ms, cgroup)) WITHOUT ROWID;
    CREATE TABLE growths (
      id INTEGER PRIMARY KEY, process INTEGER NOT NULL REFERENCES processes(id) ON DELETE CASCADE,
      run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
      since_ms INTEGER NOT NULL, told_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, ended_ms INTEGER, ended TEXT,
      bytes_per_second REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
      from_bytes INTEGER NOT NULL, to_bytes INTEGER NOT NULL,
      UNIQUE (process, since_ms));
    CREATE INDEX growths_by_seen ON growths (seen_ms);
    """

  private static let sites = """
    CREATE TABLE frames (
      id INTEGER PRIMARY KEY, function TEXT NOT NULL, module TEXT NOT NULL, build_id TEXT NOT NULL,
      offset INTEGER NOT NULL, file TEXT NOT NULL, line INTEGER NOT NULL, inlined INTEGER NOT NULL,
      UNIQUE (build_id, offset, function, module, file, line, inlined));
    CREATE INDEX frames_by_function ON frames (function);
    CREATE TABLE sites (
      id INTEGER PRIMARY KEY, stack TEXT NOT NULL, stack_end TEXT NOT NULL, UNIQUE (stack, stack_end));
    CREATE TABLE snapshots (
      id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
      process INTEGER NOT NULL REFERENCES processes(id) ON DELETE CASCADE, time_ms INTEGER NOT NULL,
      watched_seconds REAL NOT NULL, seen_seconds REAL NOT NULL, sample_bytes INTEGER NOT NULL,
      losses INTEGER NOT NULL, notes TEXT NOT NULL);
    CREATE INDEX snapshots_by_process ON snapshots (process, time_ms);
    CREATE INDEX snapshots_by_time ON snapshots (time_ms);
    CREATE TABLE site_rows (
      snapshot INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE, site INTEGER NOT NULL REFERENCES sites(id),
      allocs INTEGER NOT NULL, frees INTEGER NOT NULL, allocated_bytes INTEGER NOT NULL,
      outstanding_count INTEGER NOT NULL, outstanding_bytes INTEGER NOT NULL, bytes_error REAL,
      oldest_seconds REAL, PRIMARY KEY (snapshot, site)) WITHOUT ROWID;
    CREATE INDEX site_rows_by_site ON site_rows (site);
    CREATE TABLE suspicions (
      snapshot INTEGER NOT NULL REFERENCES snapshots(id) ON DELETE CASCADE, site INTEGER NOT NULL REFERENCES sites(id),
      level TEXT NOT NULL, words TEXT NOT NULL, evidence TEXT NOT NULL,
      PRIMARY KEY (snapshot, site)) WITHOUT ROWID;
    CREATE INDEX suspicions_by_site ON suspicions (site);
    """
}

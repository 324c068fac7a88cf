import GRDB
import Glibc

/// A file that keeps what drip has seen: processes and how they grow, call sites, suspicions. One process writes to it,
/// any number may read at the same time (`StoreReader`).
///
/// Each interval is one transaction in SQLite's write-ahead log, with a sync (`synchronous=FULL`): a writer that is
/// killed, or a machine that loses power, loses the interval that was being written and nothing else.
public final class Store {
  public let path: String
  let database: DatabaseQueue
  /// The boot that process numbers and ticks are of.
  private let boot: String
  private let lock: StoreLock
  /// Rows that are known: of processes that run, and of control groups. Bounded by what lives.
  var processes: [ProcessIdentity: Int64] = [:]
  var groups: [String: Int64] = [:]
  private(set) var run: Int64 = 0

  private init(path: String, database: DatabaseQueue, boot: String, lock: consuming StoreLock) {
    self.path = path
    self.database = database
    self.boot = boot
    self.lock = lock
  }

  /// Opens a store, or makes one: readable for its owner alone, its folder too if that is not there. `boot` tells this
  /// boot of the machine from others (/proc/sys/kernel/random/boot_id).
  public static func open(path: String, boot: String) throws(StoreError) -> Store {
    try StoreFile.prepare(path)
    let lock = try StoreLock(path)
    do {
      var configuration = Configuration()
      configuration.busyMode = .timeout(1)
      configuration.label = "drip store"
      configuration.prepareDatabase { try prepare($0) }
      let database = try DatabaseQueue(path: path, configuration: configuration)
      let migrator = Schema.migrator
      if try database.read({ try migrator.hasBeenSuperseded($0) }) { throw StoreError.newer(path: path) }
      try migrator.migrate(database)
      return Store(path: path, database: database, boot: boot, lock: lock)
    } catch {
      throw StoreError(error, path: path)
    }
  }

  /// In this order: how pages are freed can be chosen in an empty file only, before the log writes its first one.
  private static func prepare(_ db: Database) throws {
    try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
    if try Int64.fetchOne(db, sql: "PRAGMA application_id") != Int64(StoreFile.application) {
      try db.execute(sql: "PRAGMA application_id = \(StoreFile.application)")
    }
    _ = try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL")
    try db.execute(sql: "PRAGMA synchronous = FULL")
    // The log is cut back to this once all of it is in the file.
    _ = try Int64.fetchOne(db, sql: "PRAGMA journal_size_limit = 4194304")
    // 2 MiB of pages: the default, said here because it is part of what the daemon costs.
    try db.execute(sql: "PRAGMA cache_size = -2000")
  }

  /// Notes that a run begins. Times are milliseconds since 1970. What grew when an earlier run was killed is closed: nobody
  /// knows how it went on.
  public func begin(
    time: Int64, drip: String, kernel: String, intervalSeconds: Double
  ) throws(StoreError) {
    let boot = boot
    run = try write { db in
      try db.execute(
        sql: """
          INSERT INTO runs (boot, drip, kernel, pid, started_ms, seen_ms, interval_seconds) VALUES (?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [boot, drip, kernel, Int64(getpid()), time, time, intervalSeconds])
      let run = db.lastInsertedRowID
      try Self.closeGrowths(db)
      return run
    }
  }

  /// Notes that the run ends, and why.
  public func end(time: Int64, reason: String) throws(StoreError) {
    let run = run
    try write { db in
      try db.execute(
        sql: "UPDATE runs SET ended_ms = ?, seen_ms = ?, ended = ? WHERE id = ?",
        arguments: [time, time, reason, run])
      try Self.closeGrowths(db)
    }
  }

  private static func closeGrowths(_ db: Database) throws {
    try db.execute(
      sql: "UPDATE growths SET ended_ms = seen_ms, ended = 'drip ended' WHERE ended_ms IS NULL")
  }

  /// Writes all that is known of one interval, or nothing of it.
  public func add(_ record: IntervalRecord) throws(StoreError) {
    // What is not committed must not be remembered either.
    let (known, seenGroups, run, boot) = (processes, groups, run, boot)
    let (written, writtenGroups) = try write { db in
      var writer = IntervalWriter(db: db, run: run, boot: boot, processes: known, groups: seenGroups)
      try writer.write(record)
      return (writer.processes, writer.groups)
    }
    (processes, groups) = (written, writtenGroups)
  }

  /// Writes a snapshot of a process, which an interval has told of before.
  public func add(_ snapshot: StoredSnapshot) throws(StoreError) {
    guard let process = processes[snapshot.process] else {
      throw .failed(path: path, detail: "process \(snapshot.process.pid) is not in it")
    }
    let run = run
    try write { db in try SnapshotWriter(db: db).write(snapshot, run: run, process: process) }
  }

  /// Bytes that the store takes on disk.
  public var bytes: UInt64 { StoreFile.size(path) }

  func write<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
    do {
      return try database.write(body)
    } catch {
      throw StoreError(error, path: path)
    }
  }
}

extension Int64 {
  /// SQLite's integers have a sign.
  init(stored value: UInt64) { self.init(clamping: value) }
}

import GRDB

/// Reads a store, also while somebody writes to it.
public final class StoreReader {
  private let path: String
  private let database: DatabaseQueue

  private init(path: String, database: DatabaseQueue) {
    self.path = path
    self.database = database
  }

  /// Opens a store that is there.
  public static func open(path: String) throws(StoreError) -> StoreReader {
    try StoreFile.checkForReading(path)
    do {
      var configuration = Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(1)
      let database = try DatabaseQueue(path: path, configuration: configuration)
      let migrator = Schema.migrator
      try database.read { db in
        if try migrator.hasBeenSuperseded(db) { throw StoreError.newer(path: path) }
        // Whoever made it was killed before it was whole.
        if try !migrator.hasCompletedMigrations(db) { throw StoreError.missing(path: path) }
      }
      return StoreReader(path: path, database: database)
    } catch {
      throw StoreError(error, path: path)
    }
  }

  /// What the store says, all of one moment: the latest stretches of growth first, at most `most` of them, each with at
  /// most `sites` call sites of its process's latest snapshot.
  public func report(most: Int, sites: Int) throws(StoreError) -> StoreReport {
    let path = path
    do {
      return try database.read { db in
        try StoreQuery(db: db).report(path: path, most: most, sites: sites)
      }
    } catch {
      throw StoreError(error, path: path)
    }
  }
}

/// What a store says at one moment. Times are milliseconds since 1970.
public struct StoreReport: Sendable, Hashable {
  public struct Run: Sendable, Hashable {
    public var started: Int64
    /// When it last wrote.
    public var seen: Int64
    /// When and why it ended; nil while it runs, or if it was killed.
    public var ended: Int64?
    public var reason: String?
    public var drip: String
    public var kernel: String
    public var intervalSeconds: Double
    public var state: RunState
  }

  public struct Growing: Sendable, Hashable {
    public var process: StoredProcess
    public var growth: GrowthRow
    /// When the process was last told of, and when it was seen to have exited.
    public var lastSeen: Int64
    public var exited: Int64?
    /// Its newest memory figures.
    public var memory: MemoryRow?
    /// Its newest snapshot with call sites, the largest first; suspicions before all others.
    public var snapshot: StoredSnapshot?
    /// Call sites that the snapshot has beyond those.
    public var omittedSites: Int
  }

  public var path: String
  public var bytes: UInt64
  /// Newest first.
  public var runs: [Run]
  public var processes: UInt64
  public var samples: UInt64
  public var snapshots: UInt64
  /// Those that last first, then by the rate.
  public var growing: [Growing]
  public var omitted: Int
}

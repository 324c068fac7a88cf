import Binaries

/// What unwind tables take: of all files that a capture has seen.
public struct UnwindFigures: Sendable, Hashable {
  public private(set) var files = 0
  public private(set) var rows = 0
  /// Kernel memory of rows, pages and rules, in bytes.
  public private(set) var bytes = 0
  /// Seconds of work to read and compile the files.
  public private(set) var seconds = 0.0

  public init() {}

  mutating func add(_ table: UnwindTable, seconds: Double) {
    files += 1
    rows += table.rows.count
    // A row has 4 bytes, a page and a rule 8 each. Rules that files share are counted for each.
    bytes += table.rows.count * 4 + table.pages.count * 8 + table.rules.count * 8
    self.seconds += seconds
  }

  /// All of it for a row; 0 where there are none.
  public var bytesPerRow: Double { rows == 0 ? 0 : Double(bytes) / Double(rows) }
  /// Microseconds for a row.
  public var microsecondsPerRow: Double { rows == 0 ? 0 : seconds * 1e6 / Double(rows) }
}

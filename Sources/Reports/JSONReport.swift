public import Profile

/// The stable machine format, described in docs/formats.md. Fields are added, never renamed or removed.
public enum JSONReport {
  public static func render(_ profile: HeapProfile) -> String {
    var text = ""
    value(profile).write(to: &text)
    return text + "\n"
  }

  private static func value(_ profile: HeapProfile) -> JSONValue {
    .object([
      ("drip", .string(profile.dripVersion)),
      ("capture", capture(profile.capture)),
      ("processes", .array(profile.processes.map(process))),
      ("totals", totals(profile.totals)),
      ("losses", losses(profile.losses)),
      ("tables", tables(profile.table)),
      (
        "omitted",
        .object([
          ("sites", .integer(UInt64(profile.omittedSites))), ("outstanding_bytes", .integer(profile.omittedBytes)),
          ("outstanding_count", .integer(profile.omittedCount)),
        ])
      ),
      ("sites", .array(profile.sites.map(site))),
    ])
  }

  private static func capture(_ capture: CaptureInfo) -> JSONValue {
    .object([
      ("start", .string(Timestamp.rfc3339(unixNanoseconds: capture.startUnixNanoseconds))),
      ("start_unix_ns", .signed(capture.startUnixNanoseconds)), ("seconds", .number(capture.seconds)),
      ("kernel", .string(capture.kernel)), ("backend", .string(capture.backend)),
      ("ended", .optional(capture.ended)), ("filters", .array(capture.filters.map(JSONValue.string))),
    ])
  }

  private static func process(_ target: Target) -> JSONValue {
    .object([
      ("pid", .signed(Int64(target.pid))), ("start_ticks", .integer(target.startTicks)),
      ("command", .string(target.command)), ("executable", .string(target.executable)),
    ])
  }

  private static func totals(_ totals: Totals) -> JSONValue {
    .object([
      ("outstanding_bytes", .integer(totals.outstandingBytes)),
      ("outstanding_count", .integer(totals.outstandingCount)), ("allocs", .integer(totals.allocs)),
      ("frees", .integer(totals.frees)), ("allocated_bytes", .integer(totals.allocatedBytes)),
    ])
  }

  private static func losses(_ losses: Losses) -> JSONValue {
    .object([("total", .integer(losses.total))] + LossKind.allCases.map { ($0.rawValue, .integer(losses[$0])) })
  }

  private static func tables(_ table: TableUse) -> JSONValue {
    .object([
      ("live", .integer(table.live)), ("live_capacity", .integer(table.liveCapacity)),
      ("sites", .integer(table.sites)), ("site_capacity", .integer(table.siteCapacity)),
      ("bytes", .integer(table.bytes)),
    ])
  }

  private static func site(_ site: Site) -> JSONValue {
    .object([
      ("pid", .signed(Int64(site.pid))), ("outstanding_bytes", .integer(site.outstandingBytes)),
      ("outstanding_count", .integer(site.outstandingCount)), ("allocs", .integer(site.allocs)),
      ("frees", .integer(site.frees)), ("allocated_bytes", .integer(site.allocatedBytes)),
      ("oldest_seconds", .optional(site.oldestSeconds)),
      ("growth_bytes_per_second", .optional(site.growthBytesPerSecond)),
      ("stack_end", .string(site.stackEnd.rawValue)), ("frames", .array(site.frames.map(frame))),
    ])
  }

  private static func frame(_ frame: Frame) -> JSONValue {
    .object([
      ("function", .optional(frame.function)), ("module", .optional(frame.module)),
      ("build_id", .optional(frame.buildID)), ("offset", .integer(frame.offset)), ("file", .optional(frame.file)),
      ("line", frame.line.map { .signed(Int64($0)) } ?? .null), ("inlined", .bool(frame.inlined)),
    ])
  }
}

/// Dates without Foundation.
enum Timestamp {
  /// RFC 3339 in UTC with milliseconds. Days to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date
  /// Algorithms", days_from_civil and its inverse.
  static func rfc3339(unixNanoseconds: Int64) -> String {
    func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a / b - (a % b < 0 ? 1 : 0) }
    let milliseconds = floorDivide(unixNanoseconds, 1_000_000)
    let seconds = floorDivide(milliseconds, 1000)
    let days = floorDivide(seconds, 86_400)
    let ofDay = seconds - days * 86_400
    let z = days + 719_468
    let era = floorDivide(z, 146_097)
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    func three(_ value: Int64) -> String { value < 10 ? "00\(value)" : value < 100 ? "0\(value)" : "\(value)" }
    return
      "\(year)-\(two(month))-\(two(day))T\(two(ofDay / 3600)):\(two(ofDay / 60 % 60)):\(two(ofDay % 60)).\(three(milliseconds - seconds * 1000))Z"
  }
}

import Profile
public import Store

/// A store's report for programs: fields are added, never renamed, removed or given another meaning. Names come from
/// the targets and may hold any character.
public enum StoreJSON {
  public static func render(_ report: StoreReport) -> String {
    var text = ""
    JSONValue.object([
      ("store", .string(report.path)), ("bytes", .integer(report.bytes)),
      ("processes", .integer(report.processes)), ("samples", .integer(report.samples)),
      ("snapshots", .integer(report.snapshots)), ("runs", .array(report.runs.map(run))),
      ("growing", .array(report.growing.map(growing))), ("omitted", .signed(Int64(report.omitted))),
    ]).write(to: &text)
    return text + "\n"
  }

  private static func run(_ run: StoreReport.Run) -> JSONValue {
    .object([
      ("drip", .string(run.drip)), ("kernel", .string(run.kernel)), ("started_ms", .signed(run.started)),
      ("seen_ms", .signed(run.seen)), ("ended_ms", .optional(run.ended)), ("ended", .optional(run.reason)),
      ("interval_seconds", .number(run.intervalSeconds)), ("intervals", .integer(run.state.intervals)),
      ("cpu_seconds", .number(run.state.cpuSeconds)), ("rss", .integer(run.state.resident)),
      ("lost_intervals", .integer(run.state.lostIntervals)), ("unread", .integer(run.state.unread)),
    ])
  }

  private static func growing(_ one: StoreReport.Growing) -> JSONValue {
    let process = one.process
    let growth = one.growth
    return .object([
      ("pid", .signed(Int64(process.identity.pid))), ("start_ticks", .integer(process.identity.startTicks)),
      ("command", .string(process.command)), ("executable", .string(process.executable)),
      ("build_id", .string(process.buildID)), ("cgroup", .string(process.cgroup)),
      ("last_ms", .signed(one.lastSeen)), ("exited_ms", .optional(one.exited)),
      ("since_ms", .signed(growth.since)), ("told_ms", .signed(growth.told)),
      ("seen_ms", .signed(growth.seen)),
      ("ended_ms", .optional(growth.ended)), ("ended", .optional(growth.reason)),
      ("bytes_per_second", .number(growth.bytesPerSecond)), ("bytes_per_second_low", .number(growth.low)),
      ("bytes_per_second_high", .number(growth.high)), ("from_bytes", .integer(growth.from)),
      ("to_bytes", .integer(growth.to)),
      ("memory", one.memory.map(memory) ?? .null), ("snapshot", one.snapshot.map(snapshot) ?? .null),
      ("omitted_sites", .signed(Int64(one.omittedSites))),
    ])
  }

  private static func memory(_ memory: MemoryRow) -> JSONValue {
    .object([
      ("rss", .integer(memory.resident)), ("anon", .integer(memory.anonymous)),
      ("swap", .integer(memory.swapped)),
    ])
  }

  private static func snapshot(_ snapshot: StoredSnapshot) -> JSONValue {
    .object([
      ("time_ms", .signed(snapshot.time)), ("watched_seconds", .number(snapshot.watchedSeconds)),
      ("seen_seconds", .number(snapshot.seenSeconds)), ("sample_bytes", .integer(snapshot.sampleBytes)),
      ("losses", .integer(snapshot.losses)), ("notes", .array(snapshot.notes.map { .string($0) })),
      ("sites", .array(snapshot.sites.map(site))),
    ])
  }

  private static func site(_ site: StoredSite) -> JSONValue {
    .object([
      ("outstanding_bytes", .integer(site.outstandingBytes)),
      ("outstanding_count", .integer(site.outstandingCount)), ("bytes_error", .optional(site.bytesError)),
      ("allocs", .integer(site.allocs)), ("frees", .integer(site.frees)),
      ("allocated_bytes", .integer(site.allocatedBytes)), ("oldest_seconds", .optional(site.oldestSeconds)),
      ("suspicion", site.suspicion.map(suspicion) ?? .null), ("stack_end", .string(site.end.rawValue)),
      ("frames", .array(site.frames.map(frame))),
    ])
  }

  private static func suspicion(_ suspicion: StoredSuspicion) -> JSONValue {
    .object([
      ("level", .string(suspicion.level)), ("words", .string(suspicion.words)),
      ("evidence", .string(suspicion.evidence)),
    ])
  }

  private static func frame(_ frame: Frame) -> JSONValue {
    .object([
      ("function", .optional(frame.function)), ("module", .optional(frame.module)),
      ("build_id", .optional(frame.buildID)), ("offset", .integer(frame.offset)),
      ("file", .optional(frame.file)), ("line", frame.line.map { .signed(Int64($0)) } ?? .null),
      ("inlined", .bool(frame.inlined)),
    ])
  }
}

extension JSONValue {
  fileprivate static func optional(_ number: Int64?) -> JSONValue { number.map(JSONValue.signed) ?? .null }
}

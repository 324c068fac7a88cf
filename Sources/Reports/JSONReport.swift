public import LeakDetection
public import Profile

/// The stable machine format, described in docs/formats.md. Fields are added, never renamed or removed.
public enum JSONReport {
  /// One object, with a newline at its end. The same profile gives the same text.
  /// `judged`: what is thought of the sites.
  public static func render(_ profile: HeapProfile, judged: SiteJudgements = SiteJudgements()) -> String {
    render(fields(profile, judged))
  }

  /// With the kernel's part, and what is thought of its sites.
  public static func render(
    _ profile: HeapProfile, judged: SiteJudgements, kernel: KernelProfile, kernelJudged: SiteJudgements
  ) -> String {
    render(fields(profile, judged) + [("kernel", KernelJSON.value(kernel, kernelJudged))])
  }

  private static func render(_ fields: [(String, JSONValue)]) -> String {
    var text = ""
    JSONValue.object(fields).write(to: &text)
    return text + "\n"
  }

  /// `facts`: more fields of a site, which stand first.
  static func fields(
    _ profile: HeapProfile, _ judged: SiteJudgements, facts: (Site) -> [(String, JSONValue)] = { _ in [] }
  ) -> [(String, JSONValue)] {
    [
      ("drip", .string(profile.dripVersion)),
      ("capture", capture(profile.capture)),
      ("processes", .array(profile.processes.map(process))),
      ("totals", totals(profile.totals)),
      ("losses", losses(profile.losses)),
      ("stack_checks", profile.checks.map(checks) ?? .null),
      ("tables", tables(profile.table)),
      ("stacks", stacks(profile.stacks)),
      (
        "omitted",
        .object([
          ("sites", .integer(UInt64(profile.omittedSites))),
          ("outstanding_bytes", .integer(profile.omittedBytes)),
          ("outstanding_count", .integer(profile.omittedCount)),
        ])
      ),
      (
        "filtered",
        .object([
          ("sites", .signed(Int64(profile.view.filteredSites))),
          ("outstanding_bytes", .integer(profile.view.filteredBytes)),
          ("outstanding_count", .integer(profile.view.filteredCount)),
        ])
      ),
      (
        "folded",
        .object([
          ("frames", .integer(profile.view.foldedFrames)),
          ("merged_sites", .signed(Int64(profile.view.mergedSites))),
        ])
      ),
      (
        "sites",
        .array(
          profile.sites.map { one in
            site(one, facts(one), reachability: judged.reachability(one), verdict: judged.verdict(one))
          })
      ),
      ("mapped", profile.mapped.map(mapped) ?? .null),
    ]
  }

  private static func mapped(_ memory: MappedMemory) -> JSONValue {
    .object([
      ("totals", totals(memory.totals)),
      (
        "omitted",
        .object([
          ("sites", .integer(UInt64(memory.omittedSites))),
          ("outstanding_bytes", .integer(memory.omittedBytes)),
        ])
      ),
      ("sites", .array(memory.entries.map { site($0.site, [("origin", .string($0.origin.rawValue))]) })),
    ])
  }

  private static func capture(_ capture: CaptureInfo) -> JSONValue {
    .object([
      ("start", .string(Timestamp.rfc3339(unixNanoseconds: capture.startUnixNanoseconds))),
      ("start_unix_ns", .signed(capture.startUnixNanoseconds)), ("seconds", .number(capture.seconds)),
      ("kernel", .string(capture.kernel)), ("backend", .string(capture.backend)),
      ("ended", .optional(capture.ended)), ("filters", .array(capture.filters.map(JSONValue.string))),
      ("one_trap", .array(capture.oneTrap.map(JSONValue.string))),
      ("notes", .array(capture.notes.map(JSONValue.string))),
    ])
  }

  private static func process(_ target: Target) -> JSONValue {
    .object([
      ("pid", .signed(Int64(target.pid))), ("start_ticks", .integer(target.startTicks)),
      ("command", .string(target.command)), ("executable", .string(target.executable)),
      ("state", .string(target.state.rawValue)),
    ])
  }

  static func totals(_ totals: Totals) -> JSONValue {
    .object([
      ("outstanding_bytes", .integer(totals.outstandingBytes)),
      ("outstanding_count", .integer(totals.outstandingCount)), ("allocs", .integer(totals.allocs)),
      ("frees", .integer(totals.frees)), ("allocated_bytes", .integer(totals.allocatedBytes)),
    ])
  }

  private static func losses(_ losses: Losses) -> JSONValue {
    .object(
      [("total", .integer(losses.total))] + LossKind.allCases.map { ($0.rawValue, .integer(losses[$0])) })
  }

  private static func checks(_ checks: StackChecks) -> JSONValue {
    .object([
      ("checked", .integer(checks.checked)), ("agreed", .integer(checks.agreed)),
      ("disagreed", .integer(checks.disagreed)), ("not_comparable", .integer(checks.notComparable)),
      ("dropped", .integer(checks.dropped)), ("complete", .integer(checks.complete)),
      ("truncated", .integer(checks.truncated)),
      (
        "not_comparable_reasons",
        .object(StackVerdict.Reason.allCases.map { ($0.rawValue, .integer(checks.reasons[$0] ?? 0)) })
      ),
    ])
  }

  private static func tables(_ table: TableUse) -> JSONValue {
    .object([
      ("live", .integer(table.live)), ("live_capacity", .integer(table.liveCapacity)),
      ("sites", .integer(table.sites)), ("site_capacity", .integer(table.siteCapacity)),
      ("bytes", .integer(table.bytes)),
    ])
  }

  private static func stacks(_ stacks: StackCounts) -> JSONValue {
    .object(
      [("depth", .signed(Int64(stacks.depth)))]
        + StackEnd.allCases.map { ($0.rawValue, .integer(stacks[$0])) })
  }

  private static func site(
    _ site: Site, _ extra: [(String, JSONValue)] = [], reachability: Reachability? = nil,
    verdict: Verdict? = nil
  ) -> JSONValue {
    let sampled = site.sampled
    return .object(
      extra + [
        ("pid", .signed(Int64(site.pid))), ("outstanding_bytes", .integer(site.outstandingBytes)),
        ("outstanding_count", .integer(site.outstandingCount)), ("allocs", .integer(site.allocs)),
        ("frees", .integer(site.frees)), ("allocated_bytes", .integer(site.allocatedBytes)),
        ("oldest_seconds", .optional(site.oldestSeconds)),
        ("growth_bytes_per_second", .optional(site.growthBytesPerSecond)),
        ("sampled_objects", sampled.map { .integer($0.objects) } ?? .null),
        ("outstanding_bytes_error", .optional(sampled?.bytesError)),
        ("outstanding_count_error", .optional(sampled?.countError)),
        ("stack_end", .string(site.stackEnd.rawValue)), ("frames", .array(site.frames.map(frame))),
        ("reachability", reachability.map(ReachabilityJSON.value) ?? .null),
        ("verdict", verdict.map(VerdictJSON.value) ?? .null),
      ])
  }

  private static func frame(_ frame: Frame) -> JSONValue {
    .object([
      ("function", .optional(frame.function)), ("module", .optional(frame.module)),
      ("build_id", .optional(frame.buildID)), ("offset", .integer(frame.offset)),
      ("file", .optional(frame.file)),
      ("line", frame.line.map { .signed(Int64($0)) } ?? .null), ("inlined", .bool(frame.inlined)),
    ])
  }
}

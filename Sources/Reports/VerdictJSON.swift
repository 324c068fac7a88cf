import LeakDetection
import Profile

/// `sites[].verdict` of the JSON.
enum VerdictJSON {
  static func value(_ verdict: Verdict) -> JSONValue {
    let evidence = verdict.evidence
    let growth = evidence.growth
    return .object([
      ("level", .string(verdict.level.rawValue)), ("sentence", .string(verdict.sentence)),
      ("basis", .optional(verdict.basis)), ("refutation", .optional(verdict.refutation)),
      ("bytes_per_second", .optional(growth?.bytesPerSecond)),
      ("bytes_per_second_low", .optional(growth?.interval.lowerBound)),
      ("bytes_per_second_high", .optional(growth?.interval.upperBound)),
      ("intervals_grown", .signed(Int64(evidence.intervals.grown))),
      ("intervals_seen", .signed(Int64(evidence.intervals.seen))),
      ("kept_share", .optional(evidence.keptShare)), ("age_seconds", .number(evidence.ageSeconds)),
      ("survivors", .signed(Int64(evidence.survivors))), ("deaths", .number(evidence.deaths)),
      ("groups", .number(evidence.groups)), ("watched_seconds", .number(evidence.watchedSeconds)),
      ("outlook", evidence.outlook.map(outlook) ?? .null),
    ])
  }

  private static func outlook(_ outlook: Outlook) -> JSONValue {
    .object([
      ("limit", .string(outlook.limit.name)), ("limit_bytes", .integer(outlook.limit.bytes)),
      ("seconds", .number(outlook.seconds)), ("seconds_low", .number(outlook.interval.lowerBound)),
      ("seconds_high", outlook.interval.upperBound.isFinite ? .number(outlook.interval.upperBound) : .null),
    ])
  }
}

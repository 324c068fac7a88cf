import LeakDetection

/// `sites[].reachability` of the JSON.
enum ReachabilityJSON {
  static func value(_ found: Reachability) -> JSONValue {
    .object([
      ("inspected", .signed(Int64(found.inspected))), ("unreachable", .signed(Int64(found.unreachable))),
      ("only_from_suspects", .signed(Int64(found.onlyFromSuspects))),
      ("reachable", .signed(Int64(found.reachable))),
      ("only_from_unknown_heap", .signed(Int64(found.onlyFromUnknownHeap))),
      ("holder", found.holder.map(holder) ?? .null), ("stopped", .bool(found.isStopped)),
      ("scans", .signed(Int64(found.scans))), ("stopped_seconds", .number(found.stoppedSeconds)),
      ("scanned_bytes", .integer(found.scannedBytes)),
    ])
  }

  private static func holder(_ holder: Reachability.Holder) -> JSONValue {
    .object([
      ("kind", .string(holder.kind.rawValue)), ("name", .optional(holder.name)),
      ("module", .optional(holder.module)), ("thread", thread(holder.thread)),
      ("root", holder.root.map(root) ?? .null), ("text", .string(holder.text)),
    ])
  }

  private static func root(_ root: Reachability.Holder.Root) -> JSONValue {
    .object([
      ("kind", .string(root.kind.rawValue)), ("name", .optional(root.name)),
      ("module", .optional(root.module)), ("thread", thread(root.thread)),
    ])
  }

  private static func thread(_ number: Int32?) -> JSONValue { number.map { .signed(Int64($0)) } ?? .null }
}

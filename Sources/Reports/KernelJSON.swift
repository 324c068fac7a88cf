import LeakDetection
import Profile

/// `kernel` of the JSON: the fields of a report, with what is known of a kernel site beside its counts.
enum KernelJSON {
  static func value(_ kernel: KernelProfile, _ judged: SiteJudgements) -> JSONValue {
    let own: [(String, JSONValue)] = [
      ("backend", .string(kernel.coverage.backend.rawValue)),
      ("hooks", .array(kernel.coverage.hooks.map(JSONValue.string))),
      ("unheard_frees", .array(kernel.coverage.unheardFrees.map(JSONValue.string))),
    ]
    let dropped: Set<String> = ["drip", "processes", "stack_checks", "mapped"]
    let common = JSONReport.fields(kernel.profile, judged) { kernel.detail($0).map(facts) ?? [] }
    return .object(
      own + common.filter { !dropped.contains($0.0) } + [
        (
          "apart",
          .object(
            kernel.apart.sorted { $0.key.rawValue < $1.key.rawValue }.map {
              ($0.key.name, JSONReport.totals($0.value))
            })
        ), ("caches", .array(kernel.caches.map(cache))),
      ])
  }

  private static func facts(_ detail: KernelProfile.Detail) -> [(String, JSONValue)] {
    let origin = detail.origin
    return [
      ("domain", .string(origin.domain.name)), ("cache", .optional(detail.cache)),
      ("command", .string(origin.command)), ("cgroup", .integer(origin.cgroup)),
      ("several_processes", .bool(origin.isMixed)), ("caller_only", .bool(origin.isCallerOnly)),
      ("in_interrupt", .bool(detail.isInterrupt)),
      ("corroborated", detail.isCorroborated.map(JSONValue.bool) ?? .null),
      ("caveat", .optional(detail.caveat)),
      ("kmemleak_unreferenced", detail.unreferenced.map { .signed(Int64($0)) } ?? .null),
    ]
  }

  private static func cache(_ cache: KernelProfile.Cache) -> JSONValue {
    .object([
      ("name", .string(cache.name)), ("aliases", .array(cache.aliases.map(JSONValue.string))),
      ("object_bytes", .integer(cache.objectBytes)), ("active_before", .integer(cache.activeBefore)),
      ("active_now", .integer(cache.activeNow)), ("growth", .signed(cache.growth)),
      ("reclaimable", cache.isReclaimable.map(JSONValue.bool) ?? .null),
      ("tracked_count", .integer(cache.trackedCount)), ("tracked_bytes", .integer(cache.trackedBytes)),
    ])
  }
}

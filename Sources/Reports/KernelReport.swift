public import LeakDetection
public import Profile

/// The kernel's part of a report for people.
public enum KernelReport {
  /// Its sites with their stacks, or added up by cache, module or process; then the sums.
  public static func render(
    _ kernel: KernelProfile, by grouping: KernelGrouping, options: TextOptions = TextOptions(),
    judged: SiteJudgements = SiteJudgements(), rows: Int? = nil
  ) -> String {
    let hearsAllFrees = kernel.coverage.unheardFrees.isEmpty
    guard grouping != .stack else {
      return TextReport.render(
        kernel.profile, options, judged, totals: kernel.totals, facts: { kernel.detail($0).map(facts) ?? [] },
        hearsAllFrees: hearsAllFrees) + apart(kernel)
    }
    let style = Style(color: options.color)
    let lines =
      [TextReport.header(kernel.profile), ""] + table(kernel, grouping, style, rows: rows) + [""]
      + TextFooter.render(kernel.profile, style, hearsAllFrees: hearsAllFrees)
    return lines.joined(separator: "\n") + "\n" + apart(kernel)
  }

  /// Sums that are no part of the others.
  private static func apart(_ kernel: KernelProfile) -> String {
    kernel.apart.sorted { $0.key.rawValue < $1.key.rawValue }.map { domain, totals in
      TextFooter.row(
        domain.name,
        "apart from these: \(Quantities.bytes(totals.outstandingBytes)) in "
          + "\(Wording.counted(totals.outstandingCount, "object")); allocated \(Quantities.bytes(totals.allocatedBytes))"
      ) + "\n"
    }.joined()
  }

  /// Where the objects are from, and what is to be said against a verdict.
  private static func facts(_ detail: KernelProfile.Detail) -> [String] {
    let origin = detail.origin
    var parts = [detail.cache.map { "cache \($0)" } ?? origin.domain.name]
    if detail.isInterrupt {
      parts.append("in an interrupt")
    } else if origin.isCallerOnly {
      parts.append("caller only (--stacks always takes every stack)")
    } else if origin.isMixed {
      parts.append("several processes, \(origin.command) (pid \(origin.pid)) first")
    } else {
      parts.append("\(origin.command) (pid \(origin.pid))")
    }
    if !detail.isInterrupt, !origin.isCallerOnly, !origin.isMixed, origin.cgroup > 1 {
      parts.append("cgroup \(origin.cgroup)")
    }
    var lines = [parts.joined(separator: " · ")]
    if let caveat = detail.caveat { lines.append("no leak by itself: \(caveat)") }
    if let unreferenced = detail.unreferenced {
      lines.append(
        "kmemleak finds no pointer to \(Wording.counted(UInt64(unreferenced), "object")) of this stack")
    }
    return lines
  }

  private static let columns = [
    ("OUTSTANDING", 11), ("OBJECTS", 10), ("GROWTH", 13), ("ALLOCS", 10), ("FREES", 10),
  ]
  private static let cacheColumns = [("IN USE", 10), ("CHANGE", 9), ("SIZE", 8)]

  /// Like slabtop's for caches: what is in use, by the kernel's own count, beside what drip has seen.
  public static func table(
    _ kernel: KernelProfile, _ grouping: KernelGrouping, color: Bool, rows: Int?, width: Int
  ) -> String {
    table(kernel, grouping, Style(color: color), rows: rows).map { PlainText.clip($0, to: width) }.joined(
      separator: "\n") + "\n"
  }

  private static func table(
    _ kernel: KernelProfile, _ grouping: KernelGrouping, _ style: Style, rows: Int?
  ) -> [String] {
    let groups = KernelGroup.make(kernel, by: grouping)
    let caches = Dictionary(
      kernel.caches.flatMap { cache in ([cache.name] + cache.aliases).map { ($0, cache) } }
    ) {
      first, _ in first
    }
    let isByCache = grouping == .cache
    let all = columns + (isByCache ? cacheColumns : [])
    var lines = [style.bold(row(all.map(\.0), all, grouping.rawValue.uppercased()))]
    let shown = groups.prefix(rows ?? .max)
    for group in shown {
      var cells = [
        Quantities.bytes(group.outstandingBytes), Quantities.count(group.outstandingCount),
        Quantities.rate(group.growthBytesPerSecond), Quantities.count(group.allocs),
        Quantities.count(group.frees),
      ]
      if isByCache {
        let cache = caches[group.name]
        cells += [
          cache.map { Quantities.count($0.activeNow) } ?? "-",
          cache.map { ($0.growth > 0 ? "+" : "") + "\($0.growth)" } ?? "-",
          cache.map { Quantities.bytes($0.objectBytes) } ?? "-",
        ]
      }
      lines.append(PlainText.clean(row(cells, all, group.name)))
    }
    if groups.isEmpty { lines.append("nothing outstanding") }
    if shown.count < groups.count { lines.append(style.dim("… \(groups.count - shown.count) more")) }
    return lines
  }

  private static func row(_ cells: [String], _ columns: [(String, Int)], _ name: String) -> String {
    zip(cells, columns).map { text, column in
      String(repeating: " ", count: max(column.1 - text.count, 0)) + text
    }.joined(separator: " ") + "  " + name
  }
}

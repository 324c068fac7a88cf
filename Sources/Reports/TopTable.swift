public import LeakDetection
public import Profile

/// One reading of `drip top`: a header, and one line a call site.
public enum TopTable {
  private static let columns = [
    ("OUTSTANDING", 11), ("OBJECTS", 10), ("GROWTH", 13), ("VERDICT", 10), ("OLDEST", 8), ("ALLOCS", 10),
    ("FREES", 10),
    // Only where there are several processes to tell apart.
    ("PID", 8),
  ]

  /// At most `rows` sites, in the order of the profile. No line is longer than `width`, so that none wraps, and
  /// there are at most `rows + 5` lines: the caller fits them to the terminal.
  public static func render(
    _ profile: HeapProfile, rows: Int, color: Bool, width: Int, judged: SiteJudgements = SiteJudgements()
  ) -> String {
    let style = Style(color: color)
    let width = max(width, 40)
    let isGrave = profile.losses.total > 0
    let health = PlainText.clip(health(profile.losses), to: width)
    let columnCount = profile.processes.count > 1 ? columns.count : columns.count - 1
    var lines = [
      PlainText.clip(header(profile), to: width), PlainText.clip(sums(profile), to: width),
      isGrave ? style.red(health) : health,
      style.bold(PlainText.clip(row(columns.prefix(columnCount).map(\.0), "CALL SITE"), to: width)),
    ]
    let shown = profile.sites.prefix(max(rows, 0))
    lines += shown.map {
      PlainText.clip(row(Array(cells($0, judged).prefix(columnCount)), path($0)), to: width)
    }
    let hidden = profile.omittedSites + profile.sites.count - shown.count
    if hidden > 0 {
      lines.append(style.dim("… \(Wording.counted(UInt64(hidden), "more call site"))"))
    } else if shown.isEmpty {
      lines.append("nothing outstanding yet")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func header(_ profile: HeapProfile) -> String {
    var parts = ["drip top", Wording.targets(profile), Quantities.age(profile.capture.seconds)]
    if let ended = profile.capture.ended { parts.append(ended) }
    parts += profile.capture.filters.map { "only \(PlainText.clean($0))" }
    return parts.joined(separator: "  ")
  }

  private static func sums(_ profile: HeapProfile) -> String {
    let totals = profile.totals
    let partial = profile.stacks.partialSummary
    return
      ([
        "outstanding \(Quantities.bytes(totals.outstandingBytes)) in \(Wording.counted(totals.outstandingCount, "object"))",
        "allocs \(Quantities.count(totals.allocs))", "frees \(Quantities.count(totals.frees))",
        "tables \(Quantities.bytes(profile.table.bytes))",
      ] + (partial.isEmpty ? [] : ["stacks \(partial)"])
      + (profile.view.folded.map { [$0] } ?? [])).joined(separator: "   ")
  }

  /// The sum stands first, so that a narrow terminal cannot hide that something was lost.
  private static func health(_ losses: Losses) -> String {
    func list(_ kinds: [(kind: LossKind, count: UInt64)]) -> String {
      kinds.map { "\(Quantities.count($0.count)) \($0.kind.explanation)" }.joined(separator: "; ")
    }
    let grave = losses.occurred.filter(\.kind.affectsCounts)
    let facts = losses.occurred.filter { !$0.kind.affectsCounts }
    let text = grave.isEmpty ? "losses none" : "losses \(Quantities.count(losses.total)): \(list(grave))"
    return text + (facts.isEmpty ? "" : "   notes: \(list(facts))")
  }

  private static func cells(_ site: Site, _ judged: SiteJudgements) -> [String] {
    [
      Quantities.bytes(site.outstandingBytes), Quantities.count(site.outstandingCount),
      site.growthBytesPerSecond.map(Quantities.rate) ?? "-", judged.verdict(site)?.level.rawValue ?? "-",
      site.oldestSeconds.map(Quantities.age) ?? "-",
      Quantities.count(site.allocs), Quantities.count(site.frees), "\(site.pid)",
    ]
  }

  /// The call site and who called it, as far as the line goes.
  private static func path(_ site: Site) -> String {
    guard !site.frames.isEmpty else { return Wording.missingStack }
    let start = site.frames.firstIndex { !CallSite.isPassage($0) } ?? site.frames.startIndex
    var names = [CallSite.label(site.frames[start])]
    names += site.frames[(start + 1)...].map { $0.function ?? CallSite.unnamed($0) }
    if site.stackEnd != .complete { names.append("…") }
    return PlainText.clean(names.joined(separator: " < "))
  }

  private static func row(_ cells: [String], _ site: String) -> String {
    let padded = zip(cells, columns).map { text, column in
      String(repeating: " ", count: max(column.1 - text.count, 0)) + text
    }
    return padded.joined(separator: " ") + "  " + site
  }
}

public import Profile

/// One reading of `drip top`: a header, and one line a call site.
public enum TopTable {
  public static func render(_ profile: HeapProfile, rows: Int, color: Bool, width: Int) -> String {
    let style = Style(color: color)
    let totals = profile.totals
    let names = profile.processes.map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", ")
    var lines = [
      "drip top  \(names)  \(Quantities.age(profile.capture.seconds))"
        + (profile.capture.ended.map { "  \($0)" } ?? ""),
      "outstanding \(Quantities.bytes(totals.outstandingBytes)) in \(Quantities.count(totals.outstandingCount)) objects   allocs \(Quantities.count(totals.allocs))   frees \(Quantities.count(totals.frees))   tables \(Quantities.bytes(profile.table.bytes))",
    ]
    lines += profile.capture.filters.map { "only \($0)" }
    let grave = profile.losses.occurred.filter(\.kind.affectsCounts)
    if !grave.isEmpty {
      let text = grave.map { "\(Quantities.count($0.count)) \($0.kind.explanation)" }.joined(separator: "; ")
      lines.append(style.red("losses: \(text)"))
    }
    lines.append("")
    lines.append(
      style.bold(
        row("OUTSTANDING", "OBJECTS", "GROWTH", "OLDEST", "ALLOCS", "FREES", "CALL SITE", width: width)))
    for site in profile.sites.prefix(rows) {
      lines.append(
        row(
          Quantities.bytes(site.outstandingBytes), Quantities.count(site.outstandingCount),
          site.growthBytesPerSecond.map(Quantities.rate) ?? "-", site.oldestSeconds.map(Quantities.age) ?? "-",
          Quantities.count(site.allocs), Quantities.count(site.frees), path(site.frames), width: width))
    }
    if profile.sites.isEmpty { lines.append("nothing outstanding yet") }
    let hidden = profile.omittedSites + max(profile.sites.count - rows, 0)
    if hidden > 0 { lines.append(style.dim("… \(hidden) more call sites")) }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The call site and who called it, as far as the line goes.
  private static func path(_ frames: [Frame]) -> String {
    guard let start = frames.firstIndex(where: { !CallSite.isPassage($0) }) else { return CallSite.name(frames) }
    let callers = frames[frames.index(after: start)...].prefix(8).map { $0.function ?? CallSite.place($0) }
    return ([CallSite.label(frames[start])] + callers).joined(separator: " < ")
  }

  private static func row(
    _ bytes: String, _ objects: String, _ growth: String, _ oldest: String, _ allocs: String, _ frees: String,
    _ site: String, width: Int
  ) -> String {
    let columns = [(bytes, 11), (objects, 10), (growth, 13), (oldest, 12), (allocs, 12), (frees, 12)]
    let left = columns.map { text, size in String(repeating: " ", count: max(size - text.count, 0)) + text }
      .joined(separator: " ")
    return String((left + "  " + site).prefix(max(width, 40)))
  }
}

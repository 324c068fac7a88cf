public import Profile

/// How text is rendered.
public struct TextOptions: Sendable, Hashable {
  /// Use ANSI colours.
  public var color: Bool

  public init(color: Bool = false) { self.color = color }
}

/// The report for people: biggest first, each site with its stack, totals and losses at the end. Its layout may
/// change; programs read the JSON.
public enum TextReport {
  public static func render(_ profile: HeapProfile, options: TextOptions = TextOptions()) -> String {
    let style = Style(color: options.color)
    var lines = [header(profile)]
    for filter in profile.capture.filters { lines.append("only \(filter)") }
    lines.append("")
    for (index, site) in profile.sites.enumerated() {
      lines += render(site, rank: index + 1, totals: profile.totals, style)
      lines.append("")
    }
    if profile.sites.isEmpty {
      lines.append("Nothing that was allocated while drip watched is outstanding.")
      lines.append("")
    }
    lines += footer(profile, style)
    return lines.joined(separator: "\n") + "\n"
  }

  private static func header(_ profile: HeapProfile) -> String {
    let targets = profile.processes.map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", ")
    let capture = profile.capture
    var text = "drip \(profile.dripVersion): \(targets), watched \(Quantities.age(capture.seconds)) on Linux \(capture.kernel) by \(capture.backend)"
    if let ended = capture.ended { text += " (\(ended))" }
    return text
  }

  private static func render(_ site: Site, rank: Int, totals: Totals, _ style: Style) -> [String] {
    var facts = [
      style.bold("\(Quantities.bytes(site.outstandingBytes)) (\(Quantities.percent(site.outstandingBytes, of: totals.outstandingBytes)))")
        + " in \(Quantities.count(site.outstandingCount)) \(site.outstandingCount == 1 ? "object" : "objects")"
    ]
    if let oldest = site.oldestSeconds { facts.append("oldest \(Quantities.age(oldest))") }
    if let growth = site.growthBytesPerSecond { facts.append(Quantities.rate(growth)) }
    facts.append("\(Quantities.count(site.allocs)) allocs, \(Quantities.count(site.frees)) frees")
    var lines = ["#\(rank)  " + facts.joined(separator: " · ")]
    for frame in site.frames { lines.append("      " + line(frame, style)) }
    if let remark = remark(site.stackEnd) { lines.append("      " + style.dim(remark)) }
    return lines
  }

  private static func line(_ frame: Frame, _ style: Style) -> String {
    var text = frame.function ?? CallSite.place(frame)
    if frame.inlined { text += " [inlined]" }
    if let position = CallSite.position(frame) {
      text += "  " + style.dim(position)
    } else if let module = frame.module?.split(separator: "/").last {
      var detail = frame.function == nil ? "" : String(module)
      if frame.function == nil, let build = frame.buildID { detail = "build id \(build)" }
      if !detail.isEmpty { text += "  " + style.dim(detail) }
    }
    return text
  }

  /// Why the stack above does not reach the bottom.
  static func remark(_ end: StackEnd) -> String? {
    switch end {
    case .complete: nil
    case .truncated: "… cut at the depth limit"
    case .unreadable: "… cut at memory that could not be read"
    case .broken: "… cut: no call frame information and no frame pointer from here on"
    case .missing: "(no room for this stack)"
    }
  }

  private static func footer(_ profile: HeapProfile, _ style: Style) -> [String] {
    let totals = profile.totals
    let freed = totals.frees
    var lines = [
      "outstanding  \(style.bold(Quantities.bytes(totals.outstandingBytes))) in \(Quantities.count(totals.outstandingCount)) objects; allocated \(Quantities.bytes(totals.allocatedBytes)) in \(Quantities.count(totals.allocs)) calls, freed \(Quantities.count(freed))"
    ]
    if profile.omittedSites > 0 {
      lines.append(
        "not shown    \(Quantities.bytes(profile.omittedBytes)) in \(Quantities.count(profile.omittedCount)) objects at \(Quantities.count(UInt64(profile.omittedSites))) more call sites (-n shows more)"
      )
    }
    let table = profile.table
    lines.append(
      "tables       \(Quantities.bytes(table.bytes)) of kernel memory; \(Quantities.count(table.live)) of \(Quantities.count(table.liveCapacity)) objects, \(Quantities.count(table.sites)) of \(Quantities.count(table.siteCapacity)) stacks"
    )
    lines += losses(profile.losses, style)
    return lines
  }

  private static func losses(_ losses: Losses, _ style: Style) -> [String] {
    let grave = losses.occurred.filter(\.kind.affectsCounts)
    var lines: [String] = []
    if grave.isEmpty {
      lines.append("losses       none: the counts are exact")
    } else {
      for (kind, count) in grave {
        lines.append(style.bold("losses       \(Quantities.count(count)) \(kind.explanation)"))
      }
    }
    for (kind, count) in losses.occurred where !kind.affectsCounts {
      lines.append("note         \(Quantities.count(count)) \(kind.explanation)")
    }
    return lines
  }
}

/// ANSI attributes, or none.
struct Style: Sendable {
  let color: Bool
  func bold(_ text: String) -> String { color ? "\u{1b}[1m\(text)\u{1b}[0m" : text }
  func dim(_ text: String) -> String { color ? "\u{1b}[2m\(text)\u{1b}[0m" : text }
  func red(_ text: String) -> String { color ? "\u{1b}[31m\(text)\u{1b}[0m" : text }
}

import Profile

/// The end of the text report: sums, what is not shown, tables, losses, facts.
enum TextFooter {
  /// - Parameter hearsAllFrees: whether the counts are exact where nothing was lost.
  static func render(_ profile: HeapProfile, _ style: Style, hearsAllFrees: Bool = true) -> [String] {
    let totals = profile.totals
    var lines = [
      row(
        "outstanding",
        style.bold(Quantities.bytes(totals.outstandingBytes))
          + " in \(Wording.counted(totals.outstandingCount, "object"))"
          + "; allocated \(Quantities.bytes(totals.allocatedBytes)) in \(Wording.counted(totals.allocs, "call"))"
          + ", freed \(Quantities.count(totals.frees))")
    ]
    if profile.omittedSites > 0 {
      let shown = UInt64(profile.sites.count)
      let hidden = UInt64(profile.omittedSites)
      lines.append(
        row(
          "not shown",
          "\(Quantities.bytes(profile.omittedBytes)) in \(Wording.counted(profile.omittedCount, "object"))"
            + " at \(Quantities.count(hidden)) of \(Wording.counted(shown + hidden, "call site")) (-n shows more)"
        ))
    }
    let view = profile.view
    if view.filteredSites > 0 {
      lines.append(
        row(
          "filtered",
          "\(Quantities.bytes(view.filteredBytes)) in \(Wording.counted(view.filteredCount, "object"))"
            + " at \(Wording.counted(UInt64(view.filteredSites), "call site")) that the filters left out"))
    }
    if let folded = view.folded { lines.append(row("folded", folded)) }
    let table = profile.table
    lines.append(
      row(
        "tables",
        "\(Quantities.bytes(table.bytes)) of kernel memory"
          + "; \(Quantities.count(table.live)) of \(Quantities.count(table.liveCapacity)) objects"
          + ", \(Quantities.count(table.sites)) of \(Quantities.count(table.siteCapacity)) stacks"))
    lines.append(row("stacks", profile.stacks.summary))
    if let checks = profile.checks { lines.append(row("checks", checks.summary)) }
    return lines + losses(profile.losses, style, hearsAllFrees)
      + profile.capture.notes.map { row("note", PlainText.clean($0)) }
  }

  /// What makes the counts wrong first; facts that a reader needs to judge them apart from it.
  private static func losses(_ losses: Losses, _ style: Style, _ hearsAllFrees: Bool) -> [String] {
    let grave = losses.occurred.filter(\.kind.affectsCounts)
    let facts = losses.occurred.filter { !$0.kind.affectsCounts }
    var lines = grave.map {
      style.bold(row("losses", "\(Quantities.count($0.count)) \($0.kind.explanation)"))
    }
    if grave.isEmpty {
      lines.append(
        row(
          "losses",
          hearsAllFrees
            ? "none: the counts are exact"
            : "none of what was told; the notes name frees that this kernel does not tell of"))
    }
    lines += facts.map { row("note", "\(Quantities.count($0.count)) \($0.kind.explanation)") }
    return lines
  }

  static func row(_ label: String, _ text: String) -> String {
    label + String(repeating: " ", count: max(13 - label.count, 1)) + text
  }
}

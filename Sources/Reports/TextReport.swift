public import LeakDetection
public import Profile

/// How text is rendered.
public struct TextOptions: Sendable, Hashable {
  /// Use ANSI colours.
  public var color: Bool
  /// Cut lines of stacks at this many characters; nil never cuts.
  public var width: Int?
  /// Say at each site to which process it belongs.
  public var showProcess: Bool

  /// Plain and uncut unless asked otherwise.
  public init(color: Bool = false, width: Int? = nil, showProcess: Bool = false) {
    self.color = color
    self.width = width
    self.showProcess = showProcess
  }
}

/// The report for people: biggest first, each site with its stack, totals and losses at the end. Its layout may
/// change; programs read the JSON.
public enum TextReport {
  /// The sites in the order of the profile, then the sums.
  /// `judged`: what is thought of the sites.
  public static func render(
    _ profile: HeapProfile, options: TextOptions = TextOptions(), judged: SiteJudgements = SiteJudgements()
  ) -> String {
    render(profile, options, judged, totals: { _ in profile.totals }, facts: { _ in [] })
  }

  /// `totals`: the sums that a site is a part of. `facts`: lines about it that stand below its heading.
  /// `hearsAllFrees`: whether the counts are exact where nothing was lost.
  static func render(
    _ profile: HeapProfile, _ options: TextOptions, _ judged: SiteJudgements, totals: (Site) -> Totals,
    facts more: (Site) -> [String], hearsAllFrees: Bool = true
  ) -> String {
    let style = Style(color: options.color)
    var lines = [header(profile)]
    lines += profile.capture.filters.map { "only \(PlainText.clean($0))" }
    lines.append("")
    let commands = Dictionary(profile.processes.map { ($0.pid, $0.command) }) { first, _ in first }
    for (index, site) in profile.sites.enumerated() {
      var heading = "#\(index + 1)  " + facts(site, of: totals(site), style)
      if options.showProcess {
        heading += " · \(PlainText.clean(commands[site.pid] ?? "process")) (pid \(site.pid))"
      }
      lines.append(heading)
      lines += more(site).map { "      " + PlainText.clean($0) }
      lines += judgement(site, judged, style)
      lines += stack(site, options, style)
      lines.append("")
    }
    if profile.sites.isEmpty, profile.hasHeap { lines += [nothing(profile), ""] }
    if let mapped = profile.mapped { lines += self.mapped(mapped, options, style) }
    lines += TextFooter.render(profile, style, hearsAllFrees: hearsAllFrees)
    return lines.joined(separator: "\n") + "\n"
  }

  /// A verdict that says something, or else what a search has found.
  private static func judgement(_ site: Site, _ judged: SiteJudgements, _ style: Style) -> [String] {
    if let verdict = judged.verdict(site), verdict.level >= .watch {
      let level =
        verdict.level >= .likely ? style.red(verdict.level.rawValue) : style.bold(verdict.level.rawValue)
      let rest = [verdict.basis, verdict.refutation].compactMap { $0 }.map {
        "      " + style.dim(PlainText.clean($0))
      }
      return ["      \(level): " + PlainText.clean(verdict.sentence)] + rest
    }
    guard let found = judged.reachability(site) else { return [] }
    return ["      " + style.bold(PlainText.clean(found.sentence))]
  }

  /// Mapped memory has a heading and sums of its own: most of it is what allocators hand out.
  private static func mapped(_ memory: MappedMemory, _ options: TextOptions, _ style: Style) -> [String] {
    let headings: [MappingOrigin: String] = [
      .program: "mapped by the program", .allocator: "mapped by the allocator, for what it hands out",
      .threadStack: "stack of a thread", .loader: "mapped by the dynamic linker",
    ]
    var lines = [
      style.bold("Mapped memory") + ": \(Quantities.bytes(memory.totals.outstandingBytes)) outstanding of "
        + "\(Quantities.bytes(memory.totals.allocatedBytes)) mapped in \(Wording.counted(memory.totals.allocs, "call"))",
      "",
    ]
    for (index, entry) in memory.entries.enumerated() {
      lines.append(
        "M\(index + 1)  \(facts(entry.site, of: memory.totals, style)) · \(headings[entry.origin] ?? "")")
      lines += stack(entry.site, options, style)
      lines.append("")
    }
    if memory.omittedSites > 0 {
      lines += [
        "\(Quantities.bytes(memory.omittedBytes)) more at \(memory.omittedSites) call stacks (-n shows more)",
        "",
      ]
    }
    return lines
  }

  static func header(_ profile: HeapProfile) -> String {
    let capture = profile.capture
    let text =
      "drip \(profile.dripVersion): \(Wording.targets(profile)), watched \(Quantities.age(capture.seconds)) on Linux \(capture.kernel) by \(capture.backend)"
    return text + (capture.ended.map { " (\($0))" } ?? "")
  }

  private static func nothing(_ profile: HeapProfile) -> String {
    profile.capture.filters.isEmpty
      ? "Nothing that was allocated while drip watched is outstanding."
      : "Nothing that was allocated while drip watched and passes the filters is outstanding."
  }

  private static func facts(_ site: Site, of totals: Totals, _ style: Style) -> String {
    let share = Quantities.percent(site.outstandingBytes, of: totals.outstandingBytes)
    var facts = [
      style.bold("\(Quantities.bytes(site.outstandingBytes)) (\(share))")
        + " in \(Wording.counted(site.outstandingCount, "object"))"
    ]
    if let sampled = site.sampled {
      // 1.96 standard errors: 95 %.
      let reach = UInt64((sampled.bytesError * 1.96).rounded())
      facts.append("± \(Quantities.bytes(reach)) (95 %, from \(Wording.counted(sampled.objects, "sample")))")
    }
    if let oldest = site.oldestSeconds { facts.append("oldest \(Quantities.age(oldest))") }
    if let growth = site.growthBytesPerSecond { facts.append(Wording.growth(growth)) }
    facts.append("\(Wording.counted(site.allocs, "alloc")), \(Wording.counted(site.frees, "free"))")
    return facts.joined(separator: " · ")
  }

  private static func stack(_ site: Site, _ options: TextOptions, _ style: Style) -> [String] {
    let indent = "      "
    let room = options.width.map { max($0 - indent.count, 20) }
    var lines = site.frames.map { indent + line($0, room, style) }
    if site.stackEnd == .missing || site.frames.isEmpty {
      lines.append(indent + style.dim(Wording.missingStack))
    } else if let remark = Wording.remark(site.stackEnd) {
      lines.append(indent + style.dim("… \(remark)"))
    }
    return lines
  }

  private static func line(_ frame: Frame, _ room: Int?, _ style: Style) -> String {
    let name = PlainText.clean(frame.function ?? CallSite.place(frame)) + (frame.inlined ? " [inlined]" : "")
    let detail = PlainText.clean(detail(frame))
    guard !detail.isEmpty else { return PlainText.clip(name, to: room) }
    // Where there is room for one only, the name is worth more than the place.
    guard let room, name.count + detail.count + 2 > room else { return name + "  " + style.dim(detail) }
    let left = room - detail.count - 2
    return left < 20
      ? PlainText.clip(name, to: room) : PlainText.clip(name, to: left) + "  " + style.dim(detail)
  }

  /// Where a frame is: the source line, else the module, else what helps to name the frame later.
  private static func detail(_ frame: Frame) -> String {
    if let position = CallSite.position(frame) { return position }
    guard let module = frame.module?.split(separator: "/").last else {
      return frame.function == nil ? "in no file" : ""
    }
    if frame.function != nil { return String(module) }
    return frame.buildID.map { "build id \($0)" } ?? "no build id"
  }
}

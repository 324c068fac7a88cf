import Profile
public import Store

/// A store's report for people. Its layout may change; programs read the JSON.
public enum StoreText {
  /// `now`: milliseconds since 1970.
  public static func render(_ report: StoreReport, now: Int64, color: Bool = false) -> String {
    let style = Style(color: color)
    var lines = [header(report)]
    lines += report.runs.prefix(1).map { run($0, now: now) }
    lines.append("")
    for (index, one) in report.growing.enumerated() {
      lines += growing(one, number: index + 1, now: now, style)
      lines.append("")
    }
    if report.growing.isEmpty {
      lines += ["No process has grown for long enough to be told.", ""]
    }
    if report.omitted > 0 { lines += ["\(report.omitted) more stretches of growth (-n shows more)", ""] }
    return lines.joined(separator: "\n")
  }

  private static func header(_ report: StoreReport) -> String {
    "\(PlainText.clean(report.path)): \(Quantities.bytes(report.bytes)), "
      + "\(Quantities.count(report.processes)) \(report.processes == 1 ? "process" : "processes"), "
      + "\(Wording.counted(report.samples, "sample")), \(Wording.counted(report.snapshots, "snapshot"))"
  }

  private static func run(_ run: StoreReport.Run, now: Int64) -> String {
    let state = run.state
    let seconds = Double(run.seen - run.started) / 1000
    var text = "latest run: drip \(PlainText.clean(run.drip)) from \(time(run.started)), "
    if let ended = run.ended {
      text += "ended \(ago(ended, now)) (\(PlainText.clean(run.reason ?? "")))"
    } else {
      text += "wrote last \(ago(run.seen, now)), has not said that it ended"
    }
    text +=
      "; looked \(Quantities.count(state.intervals)) times, every \(Quantities.age(run.intervalSeconds))"
    if seconds > 0 {
      text +=
        "; used \(Quantities.fixed(state.cpuSeconds / seconds * 100, decimals: 3)) % of a CPU and "
        + "\(Quantities.bytes(state.resident))"
    }
    if state.lostIntervals > 0 {
      text += "; \(Wording.counted(state.lostIntervals, "look")) could not be stored"
    }
    if state.unread > 0 { text += "; \(Wording.counted(state.unread, "reading")) of processes failed" }
    return text
  }

  private static func growing(
    _ one: StoreReport.Growing, number: Int, now: Int64, _ style: Style
  ) -> [String] {
    let growth = one.growth
    let process = one.process
    let name = "\(PlainText.clean(process.command)) (pid \(process.identity.pid))"
    let rate =
      "\(Quantities.rate(growth.bytesPerSecond)) (\(Quantities.rate(growth.low)) to \(Quantities.rate(growth.high)))"
    let time = Quantities.age(Double(max(growth.seen - growth.since, 0)) / 1000)
    var state =
      growth.ended.map { "ended \(ago($0, now)): \(PlainText.clean(growth.reason ?? ""))" } ?? "grows"
    if growth.ended == nil, now - growth.seen > 600_000 {
      state = "grew when it was last seen, \(ago(growth.seen, now))"
    }
    var lines = [
      "#\(number)  \(style.bold(name)): \(state)",
      "      \(rate) for \(time), from \(Quantities.bytes(growth.from)) to \(Quantities.bytes(growth.to))"
        + (one.memory.map { "; RSS \(Quantities.bytes($0.resident)), swap \(Quantities.bytes($0.swapped))" }
          ?? ""),
      "      " + style.dim(PlainText.clean(identity(process))),
    ]
    guard let snapshot = one.snapshot else {
      return lines + ["      " + style.dim("no call sites were collected of it")]
    }
    lines.append("      " + self.snapshot(snapshot, now: now))
    lines += snapshot.notes.map { "      " + style.dim(PlainText.clean($0)) }
    for site in snapshot.sites { lines += self.site(site, style) }
    if one.omittedSites > 0 {
      lines.append("        \(one.omittedSites) more call sites (--sites shows more)")
    }
    return lines
  }

  private static func identity(_ process: StoredProcess) -> String {
    var parts = [process.executable.isEmpty ? "executable unknown" : process.executable]
    if !process.buildID.isEmpty { parts.append("build id \(process.buildID)") }
    if !process.cgroup.isEmpty { parts.append("cgroup \(process.cgroup)") }
    return parts.joined(separator: ", ")
  }

  private static func snapshot(_ snapshot: StoredSnapshot, now: Int64) -> String {
    let seen = Quantities.percent(
      UInt64(max(snapshot.seenSeconds, 0) * 1000), of: UInt64(max(snapshot.watchedSeconds, 0) * 1000))
    var text =
      "call sites \(ago(snapshot.time, now)), probes in place for \(seen) of "
      + Quantities.age(snapshot.watchedSeconds)
    if snapshot.sampleBytes > 0 {
      text += ", one sample in \(Quantities.bytes(snapshot.sampleBytes)) on average"
    }
    if snapshot.losses > 0 { text += ", \(Wording.counted(snapshot.losses, "event")) lost" }
    return text
  }

  private static func site(_ site: StoredSite, _ style: Style) -> [String] {
    var heading = "      \(style.bold(Quantities.bytes(site.outstandingBytes)))"
    if let error = site.bytesError { heading += " ± \(Quantities.bytes(UInt64(max(error * 1.96, 0))))" }
    heading += " in \(Wording.counted(site.outstandingCount, "object"))"
    var lines = [heading]
    if let suspicion = site.suspicion {
      lines.append("        \(style.red(PlainText.clean(suspicion.words)))")
    }
    lines += site.frames.map { "        " + PlainText.clean(CallSite.label($0)) }
    if let remark = Wording.remark(site.end) { lines.append("        " + style.dim("… \(remark)")) }
    return lines
  }

  private static func time(_ milliseconds: Int64) -> String {
    Timestamp.rfc3339(unixNanoseconds: milliseconds.multipliedReportingOverflow(by: 1_000_000).0)
  }

  private static func ago(_ milliseconds: Int64, _ now: Int64) -> String {
    now >= milliseconds
      ? "\(Quantities.age(Double(now - milliseconds) / 1000)) ago" : "at \(time(milliseconds))"
  }
}

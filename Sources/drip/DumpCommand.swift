public import ArgumentParser
import Capture
import LeakDetection
import Processes
public import Profile
import Reports

enum DumpFormat: String, ExpressibleByArgument, CaseIterable {
  case text
  case json
  case folded
  case pprof
}

extension SortKey: ExpressibleByArgument {}

/// What `--fail-on` may ask for.
enum FailLevel: String, ExpressibleByArgument, CaseIterable {
  case leak
  case likely

  var level: Verdict.Level { self == .leak ? .leak : .likely }
}

extension Array {
  /// Those that satisfy the condition, and the others; both in order.
  func divided(by condition: (Element) -> Bool) -> (matching: [Element], others: [Element]) {
    (filter(condition), filter { !condition($0) })
  }
}

struct Dump: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch a process or the kernel for a while and print every stack with outstanding memory.",
    discussion: """
      Counts what is allocated while drip watches and not freed before it stops. Ctrl-C ends the watch early \
      and prints the result all the same. Objects from before the attach are not known.
      """)

  @OptionGroup var target: TargetOptions

  @OptionGroup(title: "Kernel") var kernel: KernelOptions

  @OptionGroup(title: "View") var view: ViewOptions

  @OptionGroup(title: "Lost objects") var confirm: ConfirmOptions

  @Option(help: "How long to watch (10s, 500ms, 5m).")
  var duration = TimeSpan(seconds: 10)

  @Option(
    name: [.customShort("n"), .long], help: "Stacks to show (text: 20 unless set; other formats: all).")
  var top: Int?

  @Option(help: "Order by bytes, count, age or growth.")
  var sort: SortKey = .bytes

  @Option(help: "Show only objects that have been outstanding for this long (5s).")
  var older: TimeSpan?

  @Option(help: "text, json, folded or pprof.")
  var format: DumpFormat = .text

  @Option(name: [.short, .long], help: "Write to a file instead of standard output.")
  var output: String?

  @Option(
    help: "Exit with code 1 if a call site's verdict is at least this: leak or likely.")
  var failOn: FailLevel?

  func validate() throws {
    try kernel.validate(with: target)
    if kernel.kernel, confirm.confirm, target.selection.isEmpty {
      throw ValidationError("--confirm searches the memory of a process: say which (-p), or leave it out")
    }
    if [.cache, .module].contains(kernel.by), format != .text {
      throw ValidationError(
        "--by \(kernel.by.rawValue) is a table for people: leave out --format \(format.rawValue), or --by (json names every site's cache and module)"
      )
    }
    if kernel.kernel, format == .pprof, !target.selection.isEmpty {
      throw ValidationError("a pprof file holds one space: leave out --kernel or -p")
    }
    guard duration.seconds > 0 else { throw ValidationError("--duration must be more than 0") }
    if let top, top < 1 { throw ValidationError("-n must be at least 1") }
    if let older, older.seconds >= duration.seconds {
      throw ValidationError(
        "--older is not shorter than --duration: nothing that drip sees born can be that old; watch longer")
    }
    if confirm.confirm, target.duty != nil {
      throw ValidationError("--confirm must know of every free, which --duty does not see: leave one out")
    }
  }

  func run() async throws {
    let file = try OutputFile(path: output)
    let watch = try KernelWatch.open(kernel, target)
    if let watch, target.selection.isEmpty { return try await dump(watch, file) }
    let session = try await Session.open(target, keepsEnded: true)
    let builder = ProfileBuilder(session)
    var suspicions = Suspicions(session)
    let ended = try await self.watch(session, builder, &suspicions, watch)
    let confirmation = try await confirmation(session, builder, &suspicions)
    // The end of the watch: stop counting, read once more, detach, and only then spend time on names.
    await session.capture.stop()
    await watch?.stop()
    try await session.finishChecks()
    let snapshot = try await suspicions.snapshot(older: older?.seconds ?? 0, isLast: true)
    let verdicts = suspicions.verdicts(confirmation.found)
    builder.refreshMappings()
    let kernelPart = try await watch?.result(kernelQuery(ended))
    await session.detach()
    Waiter.releaseSignals()

    var profile = await builder.profile(
      snapshot, sort: sort, limit: top ?? (format == .text ? 20 : nil), isAgeFiltered: older != nil,
      // Who allocated and freed it all matters to alloc_space and to programs, not to a reader of text.
      includesIdle: format == .json || format == .pprof, growth: suspicions.growthBytesPerSecond,
      filters: filters, ended: ended, view: view.view)
    profile.capture.notes += confirmation.notes + suspicions.processSentences
    let judged = SiteJudgements(verdicts: verdicts, reachability: confirmation.found)
    try file.write(try render(profile, judged, kernelPart, isTerminal: file.isTerminal))
    // The format has no place for it.
    let partial = profile.stacks.partialSummary
    if format == .folded, !partial.isEmpty { printError("drip: stacks: \(partial)") }
    try fail(verdicts, kernelPart?.judged.verdicts ?? [:])
  }

  /// The kernel alone.
  private func dump(_ watch: KernelWatch, _ file: borrowing OutputFile) async throws {
    let ended = try await watch.watch(seconds: duration.seconds)
    await watch.stop()
    let result = try await watch.result(kernelQuery(ended))
    Waiter.releaseSignals()
    try file.write(try render(result, isTerminal: file.isTerminal))
    try fail(result.judged.verdicts)
  }

  private func kernelQuery(_ ended: String?) -> KernelWatch.Query {
    KernelWatch.Query(
      sort: sort, limit: kernel.by == .stack ? top ?? (format == .text ? 20 : nil) : nil,
      olderThan: older?.seconds ?? 0,
      includesIdle: format == .json || format == .pprof, filters: filters, ended: ended, view: view.view,
      asksKmemleak: true)
  }

  private func fail(_ verdicts: [UInt32: Verdict]...) throws {
    guard let failOn else { return }
    if verdicts.joined().contains(where: { $0.value.level >= failOn.level }) {
      throw Failure(.findings, "")
    }
  }

  /// Before the end of the watch: a free that nobody sees would look like a lost object.
  private func confirmation(
    _ session: Session, _ builder: ProfileBuilder, _ suspicions: inout Suspicions
  ) async throws -> Confirmation {
    var confirmation = Confirmation(session, builder, confirm)
    // A sample holds some of the objects only, and a window sees some of the frees.
    let isAutomatic = confirm.isAutomatic && target.duty == nil && target.sampleBytes == nil
    guard confirm.confirm || isAutomatic else { return confirmation }
    let snapshot = try await suspicions.snapshot(isLast: true)
    builder.note(snapshot)
    let ranking = Ranking(
      snapshot, by: sort, limit: nil, isAgeFiltered: false, includesIdle: false,
      growth: suspicions.growthBytesPerSecond)
    // Suspects first, then what the reader will look at.
    let verdicts = suspicions.verdicts()
    let (suspects, others) = ranking.entries.map(\.site).divided(by: {
      (verdicts[$0.id]?.level ?? .steady) >= .watch
    })
    if isAutomatic {
      let gravest = suspects.sorted { a, b in
        guard let x = verdicts[a.id], let y = verdicts[b.id] else { return false }
        return Verdict.isGraver(x, y)
      }
      try await confirmation.runUnasked(Array(gravest.prefix(ConfirmOptions.automaticSites)))
    } else {
      try await confirmation.run(Array((suspects + others).prefix(confirm.confirmSites)))
    }
    return confirmation
  }

  /// Waits for the end of the watch, reading a snapshot now and then so that growth can be told.
  private func watch(
    _ session: Session, _ builder: ProfileBuilder, _ suspicions: inout Suspicions, _ kernel: KernelWatch?
  ) async throws -> String? {
    var waiter = Waiter()
    let end = monotonicSeconds() + duration.seconds
    let step = KernelWatch.step(seconds: duration.seconds)
    var next = monotonicSeconds()
    while true {
      let isLeft = try await session.look()
      builder.refreshMappings()
      if !isLeft { return "target exited" }
      if monotonicSeconds() >= end { return nil }
      if monotonicSeconds() >= next {
        builder.note(try await suspicions.snapshot())
        try await kernel?.look()
        next = monotonicSeconds() + step
      }
      if try await session.wait(&waiter, until: min(next, end)) == .interrupted {
        _ = try await session.look()
        return "interrupted"
      }
    }
  }

  private var filters: [String] {
    var result: [String] = []
    if let size = target.minSize { result.append("objects of at least \(Quantities.bytes(size.bytes))") }
    if let size = target.maxSize { result.append("objects of at most \(Quantities.bytes(size.bytes))") }
    if let distance = target.sampleBytes {
      result.append("a sample of one object for \(Quantities.bytes(distance.bytes)) on average, scaled up")
    }
    if let older { result.append("objects older than \(Quantities.age(older.seconds))") }
    return result
  }

  private func render(
    _ profile: HeapProfile, _ judged: SiteJudgements, _ kernel: KernelWatch.Result?, isTerminal: Bool
  ) throws -> [UInt8] {
    switch format {
    case .text:
      let color = isTerminal && !Environment.noColor
      var text = TextReport.render(
        profile, options: TextOptions(color: color, showProcess: profile.processes.count > 1),
        judged: judged)
      text += "\n" + Findings.summarise(profile: profile, judged: judged).joined(separator: "\n") + "\n"
      if let kernel { text += "\n\n" + self.text(kernel, color: color) }
      return Array(text.utf8)
    case .json:
      guard let kernel else { return Array(JSONReport.render(profile, judged: judged).utf8) }
      return Array(
        JSONReport.render(profile, judged: judged, kernel: kernel.kernel, kernelJudged: kernel.judged).utf8)
    case .folded:
      return Array(
        (FoldedReport.render(profile) + (kernel.map { FoldedReport.render($0.kernel) } ?? "")).utf8)
    case .pprof: return try PprofReport.render(profile, judged: judged)
    }
  }

  /// The kernel alone.
  private func render(_ result: KernelWatch.Result, isTerminal: Bool) throws -> [UInt8] {
    switch format {
    case .text: return Array(text(result, color: isTerminal && !Environment.noColor).utf8)
    case .json:
      let own = result.kernel.profile
      let nothing = HeapProfile(
        dripVersion: own.dripVersion, capture: own.capture, processes: [], totals: Totals(), losses: Losses(),
        table: TableUse(), sites: [], hasHeap: false)
      return Array(
        JSONReport.render(
          nothing, judged: SiteJudgements(), kernel: result.kernel, kernelJudged: result.judged
        ).utf8)
    case .folded: return Array(FoldedReport.render(result.kernel).utf8)
    case .pprof: return try PprofReport.render(result.kernel.profile, judged: result.judged)
    }
  }

  private func text(_ result: KernelWatch.Result, color: Bool) -> String {
    KernelReport.render(
      result.kernel, by: kernel.by, options: TextOptions(color: color), judged: result.judged, rows: top ?? 20
    )
      + "\n"
      + Findings.summarise(profile: result.kernel.profile, judged: result.judged).joined(separator: "\n")
      + "\n"
  }
}

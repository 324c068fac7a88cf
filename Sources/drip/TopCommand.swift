import ArgumentParser
import Capture
import LeakDetection
import Processes
import Profile
import Reports

struct Top: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Live view: outstanding memory per call site, refreshed.",
    discussion: """
      On a terminal the table is redrawn in place; otherwise each interval prints a block of plain text. Ctrl-C \
      ends it. bcc users: -o is not used here for the age; that filter is --older.
      """)

  @OptionGroup var target: TargetOptions

  @OptionGroup(title: "Kernel") var kernel: KernelOptions

  @OptionGroup(title: "View") var view: ViewOptions

  @Option(
    name: [.customShort("n"), .long], help: "Call sites to show (fills the terminal unless set; else 10).")
  var top: Int?

  @Option(help: "Order by bytes, count, age or growth.")
  var sort: SortKey = .bytes

  @Option(help: "Show only objects that have been outstanding for this long (5s).")
  var older: TimeSpan?

  @Argument(help: "Time between two readings (2, 500ms).")
  var interval = TimeSpan(seconds: 2)

  @Argument(help: "How many readings to take; for ever if not given.")
  var count: Int?

  func validate() throws {
    try kernel.validate(with: target)
    guard interval.seconds >= 0.1 else { throw ValidationError("the interval must be at least 100ms") }
    if let count, count < 1 { throw ValidationError("the count must be at least 1") }
    if let top, top < 1 { throw ValidationError("-n must be at least 1") }
  }

  func run() async throws {
    let file = try OutputFile(path: nil)
    let watch = try KernelWatch.open(kernel, target)
    if let watch, target.selection.isEmpty { return try await top(watch, file) }
    let session = try await Session.open(target, keepsEnded: false)
    let builder = ProfileBuilder(session)
    var waiter = Waiter()
    let width = Environment.terminalWidth
    var suspicions = Suspicions(session)
    var ended: String?
    var shown = 0
    let stackView = view.view
    var next = monotonicSeconds()
    while ended == nil, shown < count ?? .max {
      next += interval.seconds
      ended = try await wait(session, until: next, &waiter, builder)
      let snapshot = try await suspicions.snapshot(older: older?.seconds ?? 0)
      // Two tables share the terminal.
      let rows = self.rows(tables: watch == nil ? 1 : 2)
      let profile = await builder.profile(
        snapshot, sort: sort, limit: rows, isAgeFiltered: older != nil,
        growth: suspicions.growthBytesPerSecond,
        filters: older.map { ["objects older than \(Quantities.age($0.seconds))"] } ?? [], ended: ended,
        view: stackView)
      var block = TopTable.render(
        profile, rows: rows, color: width != nil && !Environment.noColor, width: width ?? 160,
        judged: SiteJudgements(verdicts: suspicions.verdicts()))
      if let watch {
        try await watch.look()
        block += try await table(watch, rows: rows, ended: ended)
      }
      try show(block, file)
      shown += 1
    }
    await watch?.stop()
    await session.detach()
  }

  /// The kernel alone.
  private func top(_ watch: KernelWatch, _ file: borrowing OutputFile) async throws {
    var shown = 0
    var ended: String?
    while ended == nil, shown < count ?? .max {
      ended = try await watch.watch(seconds: interval.seconds)
      try show(try await table(watch, rows: rows(tables: 1), ended: ended), file)
      shown += 1
    }
    await watch.stop()
  }

  private func rows(tables: Int) -> Int {
    top ?? (Environment.terminalWidth == nil ? 10 : max(Environment.terminalHeight / tables - 6, 3))
  }

  private func table(_ watch: KernelWatch, rows: Int, ended: String?) async throws -> String {
    let color = Environment.terminalWidth != nil && !Environment.noColor
    let width = Environment.terminalWidth ?? 160
    let result = try await watch.result(
      KernelWatch.Query(
        sort: sort, limit: kernel.by == .stack ? rows : nil, olderThan: older?.seconds ?? 0,
        filters: older.map { ["objects older than \(Quantities.age($0.seconds))"] } ?? [], ended: ended,
        view: view.view))
    let sums = TopTable.render(
      result.kernel.profile, rows: kernel.by == .stack ? rows : 0, color: color, width: width,
      judged: result.judged)
    guard kernel.by != .stack else { return sums }
    // Header, sums and losses, then the groups.
    return sums.split(separator: "\n", omittingEmptySubsequences: false).prefix(3).joined(separator: "\n")
      + "\n"
      + KernelReport.table(result.kernel, kernel.by, color: color, rows: rows, width: width)
  }

  private func show(_ block: String, _ file: borrowing OutputFile) throws {
    let isTerminal = Environment.terminalWidth != nil
    // Home and clear to the end: less flicker than clearing first.
    try file.write(Array(((isTerminal ? "\u{1b}[H\u{1b}[J" : "") + block + (isTerminal ? "" : "\n")).utf8))
  }

  /// Waits for the next reading; the reason to stop if there is one.
  private func wait(
    _ session: Session, until next: Double, _ waiter: inout Waiter, _ builder: ProfileBuilder
  ) async throws -> String? {
    while true {
      let isInterrupted = try await session.wait(&waiter, until: next) == .interrupted
      let isLeft = try await session.look()
      builder.refreshMappings()
      if isInterrupted { return "interrupted" }
      if !isLeft { return "target exited" }
      if monotonicSeconds() >= next { return nil }
    }
  }
}

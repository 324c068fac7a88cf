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

struct Dump: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Watch a process for a while and print every stack with outstanding memory.",
    discussion: """
      Counts what is allocated while drip watches and not freed before it stops. Ctrl-C ends the watch early \
      and prints the result all the same. Objects from before the attach are not known.
      """)

  @OptionGroup var target: TargetOptions

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

  func validate() throws {
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
    let session = try await Session.open(target, keepsEnded: true)
    let builder = ProfileBuilder(session)
    let (growth, ended) = try await watch(session, builder)
    let confirmation = try await confirmation(session, builder, growth)
    // The end of the watch: stop counting, read once more, detach, and only then spend time on names.
    await session.capture.stop()
    try await session.finishChecks()
    let snapshot = try await lastSnapshot(session.capture)
    builder.refreshMappings()
    await session.detach()
    Waiter.releaseSignals()

    var tracker = growth
    tracker.add(snapshot)
    var profile = await builder.profile(
      snapshot, sort: sort, limit: top ?? (format == .text ? 20 : nil), isAgeFiltered: older != nil,
      // Who allocated and freed it all matters to alloc_space and to programs, not to a reader of text.
      includesIdle: format == .json || format == .pprof, growth: tracker.growthBytesPerSecond(),
      filters: filters, ended: ended, view: view.view)
    profile.capture.notes += confirmation.notes
    try file.write(try render(profile, confirmation.found, isTerminal: file.isTerminal))
  }

  /// Before the end of the watch: a free that nobody sees would look like a lost object.
  private func confirmation(
    _ session: Session, _ builder: ProfileBuilder, _ growth: GrowthTracker
  ) async throws -> Confirmation {
    var confirmation = Confirmation(session, builder, confirm)
    guard confirm.confirm else { return confirmation }
    let snapshot = try await session.capture.snapshot()
    builder.note(snapshot)
    let ranking = Ranking(
      snapshot, by: sort, limit: confirm.confirmSites, isAgeFiltered: false, includesIdle: false,
      growth: growth.growthBytesPerSecond())
    try await confirmation.run(ranking.entries.map(\.site))
    return confirmation
  }

  /// Waits for the end of the watch, reading a snapshot now and then so that growth can be told.
  private func watch(_ session: Session, _ builder: ProfileBuilder) async throws -> (GrowthTracker, String?) {
    var waiter = Waiter()
    let end = monotonicSeconds() + duration.seconds
    // Often enough to see the later half of a short watch, and never more than once a second.
    let step = min(max(duration.seconds / 20, 0.1), 1)
    var tracker = GrowthTracker()
    var next = monotonicSeconds()
    while true {
      let isLeft = try await session.look()
      builder.refreshMappings()
      if !isLeft { return (tracker, "target exited") }
      if monotonicSeconds() >= end { return (tracker, nil) }
      if monotonicSeconds() >= next {
        let snapshot = try await session.capture.snapshot()
        builder.note(snapshot)
        tracker.add(snapshot)
        next = monotonicSeconds() + step
      }
      if try await session.wait(&waiter, until: min(next, end)) == .interrupted {
        _ = try await session.look()
        return (tracker, "interrupted")
      }
    }
  }

  private func lastSnapshot(_ capture: LiveCapture) async throws -> Snapshot {
    try await capture.snapshot(olderThan: older?.seconds ?? 0)
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
    _ profile: HeapProfile, _ reachability: [UInt32: Reachability], isTerminal: Bool
  ) throws -> [UInt8] {
    switch format {
    case .text:
      let color = isTerminal && !Environment.noColor
      var text = TextReport.render(
        profile, options: TextOptions(color: color, showProcess: profile.processes.count > 1),
        reachability: reachability)
      text += "\n" + Findings.summarise(profile: profile).joined(separator: "\n") + "\n"
      return Array(text.utf8)
    case .json: return Array(JSONReport.render(profile, reachability: reachability).utf8)
    case .folded: return Array(FoldedReport.render(profile).utf8)
    case .pprof: return try PprofReport.render(profile)
    }
  }
}

import Capture
import Governor
import LeakDetection
import Libbpf
import Processes
import Profile
import Store

/// The second tier: probes on one suspect, in windows that the governor allows.
///
/// A window ends when its time is over or its allowance of hits is used up, whichever is first; hits are counted by the
/// kernel and read the more often, the faster the allowance goes. Where a window may be followed by the next at once, the
/// probes stay: a program that allocates little is watched without a gap.
final class SuspectVisit {
  enum Ended: Equatable {
    case no
    case exited
  }

  let process: StoredProcess
  private let session: Session
  private let builder: ProfileBuilder
  private var suspicions: Suspicions
  private var governor: Governor
  private var decision: Governor.Decision
  /// The probes are in place until then, or away until then.
  private var isInPlace = false
  private var until: Double
  private var hitsAtStart: UInt64 = 0
  private var last: Mark
  /// Frees were not seen for some time: what seems to survive may have died.
  private(set) var hasGaps = false
  private var nextSnapshot = 0.0
  /// Two readings of the hits are at least so far apart, and at most, in seconds.
  private static let pauses = 0.005...0.5

  /// Figures at the end of an interval of the governor's.
  private struct Mark {
    var seconds: Double
    var inPlace: Double
    var hits: UInt64
    var targetCPU: Double
  }

  var spending: Spending { governor.spending }
  let began = monotonicSeconds()

  /// Attaches. What the target bears of that is told to the governor as a window.
  static func open(
    _ process: StoredProcess, _ options: TargetOptions, _ settings: Governor.Settings
  ) async throws -> SuspectVisit {
    var options = options
    options.pid = [PIDList(pid: process.identity.pid)]
    let session = try await Session.open(options, keepsEnded: true, isQuiet: true)
    guard let target = session.running[0], target.identity.startTicks == process.identity.startTicks else {
      await session.detach()
      throw Failure(.cannotAttach, "process \(process.identity.pid) is another one now")
    }
    await session.capture.pause()
    return try await SuspectVisit(process, session, settings)
  }

  private init(_ process: StoredProcess, _ session: Session, _ settings: Governor.Settings) async throws {
    self.process = process
    self.session = session
    builder = ProfileBuilder(session)
    suspicions = Suspicions(session)
    governor = Governor(settings)
    last = Mark(seconds: began, inPlace: 0, hits: 0, targetCPU: Self.cpu(process))
    decision = Governor.Decision(pause: 0, window: 0, allowance: 0)
    until = began
    try await decide()
    hasGaps = false
  }

  private static func cpu(_ process: StoredProcess) -> Double {
    ProcessCPU.seconds(pid: process.identity.pid) ?? 0
  }

  /// Tells the governor what has happened and does what it says next.
  private func decide() async throws {
    let capture = session.capture
    let now = Mark(
      seconds: monotonicSeconds(), inPlace: await capture.secondsInPlace, hits: await capture.countedHits,
      targetCPU: max(Self.cpu(process), last.targetCPU))
    decision = governor.decide(
      after: Governor.Interval(
        seconds: now.seconds - last.seconds, secondsInPlace: now.inPlace - last.inPlace,
        hits: now.hits - min(last.hits, now.hits),
        // drip's own time has a limit of its own (`SuspectWatch`).
        ownCPU: 0, targetCPU: now.targetCPU - last.targetCPU))
    last = now
    if isInPlace, decision.window > 0, decision.pause <= governor.settings.shortestPause {
      begin(now)
      return
    }
    if isInPlace {
      isInPlace = false
      hasGaps = true
      await capture.pause()
    }
    until = monotonicSeconds() + decision.pause
  }

  private func begin(_ now: Mark) {
    isInPlace = true
    hitsAtStart = now.hits
    until = monotonicSeconds() + decision.window
  }

  /// Watches until a moment. Returns before it when a signal has come or the target has gone.
  func watch(until moment: Double, _ waiter: inout Waiter) async throws -> Waiter.Event {
    while monotonicSeconds() < moment {
      let event = try await session.wait(&waiter, until: min(try await step(), moment))
      if event == .interrupted { return .interrupted }
      let isLeft = try await session.look()
      builder.refreshMappings()
      if !isLeft || event == .targetExited { return .targetExited }
    }
    return .timeout
  }

  /// Does what is due; when to come again.
  private func step() async throws -> Double {
    let now = monotonicSeconds()
    guard isInPlace else {
      guard now >= until else { return until }
      guard decision.window > 0 else {
        try await decide()
        return now + Self.pauses.lowerBound
      }
      try await session.capture.resume()
      let start = Mark(
        seconds: last.seconds, inPlace: 0, hits: await session.capture.countedHits, targetCPU: 0)
      begin(start)
      return now + Self.pauses.lowerBound
    }
    let hits = await session.capture.countedHits - hitsAtStart
    let elapsed = max(now - (until - decision.window), 0.001)
    let rate = Double(hits) / elapsed
    let left = Double(decision.allowance) - Double(hits)
    let pause = rate > 0 ? left / rate / 4 : Self.pauses.upperBound
    let next = min(max(pause, Self.pauses.lowerBound), Self.pauses.upperBound)
    if now >= until || hits >= Governor.allowance(decision.allowance, rate: rate, reading: next) {
      builder.note(try await suspicions.snapshot())
      try await decide()
      return monotonicSeconds() + Self.pauses.lowerBound
    }
    if now >= nextSnapshot {
      nextSnapshot = now + 1
      builder.note(try await suspicions.snapshot())
    }
    return min(now + next, until)
  }

  /// Ends the watch: the last reading, then nothing of drip is left on the target.
  func close() async {
    await session.capture.stop()
    await session.detach()
  }

  /// What is known now, with names.
  func snapshot(time: Int64, sampleBytes: UInt64, most: Int) async throws -> StoredSnapshot {
    let reading = try await suspicions.snapshot(isLast: true)
    let verdicts = SiteJudgements(verdicts: suspicions.verdicts())
    let profile = await builder.profile(
      reading, sort: .bytes, limit: most, isAgeFiltered: false, growth: suspicions.growthBytesPerSecond,
      filters: [], ended: nil)
    let words = SuspectWords(hasGaps: hasGaps)
    let watched = monotonicSeconds() - began
    return StoredSnapshot(
      process: process.identity, time: time, watchedSeconds: watched,
      // The probes are there from the attach on, before the watch begins.
      seenSeconds: min(await session.capture.secondsInPlace, watched), sampleBytes: sampleBytes,
      losses: profile.losses.total,
      notes: words.notes(spending, omitted: profile.omittedSites) + profile.capture.notes,
      sites: profile.sites.map { site in
        StoredSite(
          frames: site.frames, end: site.stackEnd, allocs: site.allocs, frees: site.frees,
          allocatedBytes: site.allocatedBytes, outstandingCount: site.outstandingCount,
          outstandingBytes: site.outstandingBytes, bytesError: site.sampled?.bytesError,
          oldestSeconds: site.oldestSeconds, suspicion: verdicts.verdict(site).flatMap(words.suspicion))
      })
  }
}

import Glibc
import Processes
import Profile
import Reports
import Store

/// The loop of `drip sample`: looks, stores, tells, cleans up.
final class SampleDaemon {
  private let interval: Double
  private let retention: Retention
  private let watch = SampleWatch()
  private var store: SampleStore
  /// Nil if no process is to be attached to.
  private let suspects: SuspectWatch?
  private var log = SampleLog()
  private var calendar = SteadyCalendar()
  private let start = monotonicSeconds()
  private var nextCleanUp = 0.0
  private var nextStatus: Double
  /// Looks that came too late to be taken.
  private var missedLooks: UInt64 = 0
  private var begun: UInt64 = 0
  /// So often it cleans up, and says what it costs.
  private static let cleanUpEvery = 600.0
  private static let statusEvery = 3600.0

  init(store: Store, interval: Double, retention: Retention, suspects: SuspectWatch.Options?) throws {
    self.store = SampleStore(store)
    self.suspects = try suspects.map { try SuspectWatch($0) }
    self.interval = interval
    self.retention = retention
    nextStatus = start + Self.statusEvery
  }

  /// Runs until it is asked to end, or for so many seconds.
  func run(seconds: Double?) async throws {
    var waiter = Waiter()
    // Kept for reading the configuration anew: a terminal that goes must not end the watch.
    signal(SIGHUP, SIG_IGN)
    let end = seconds.map { start + $0 }
    try begin()
    var next = start
    var reason = "its time is over"
    while true {
      try look()
      await suspects?.look(watch, store, log)
      next += interval
      let late = ((monotonicSeconds() - next) / interval).rounded(.down)
      if late > 0 {
        missedLooks += UInt64(late)
        next += late * interval
      }
      let moment = min(next, end ?? .infinity)
      let event =
        await suspects?.wait(until: moment, &waiter, store, log) ?? waiter.wait(until: moment)
      if event == .interrupted {
        reason = "interrupted"
        break
      }
      if let end, monotonicSeconds() >= end { break }
    }
    log.time = calendar.milliseconds
    await suspects?.end("drip ends", store, log)
    try finish(reason)
  }

  // MARK: - One round

  private func look() throws {
    if let jump = calendar.follow() {
      log.time = calendar.milliseconds
      var line = log.line("clock-changed")
      line.add("seconds", jump, decimals: 1)
      log.write(line)
    }
    let now = monotonicSeconds()
    log.time = calendar.milliseconds
    var look = try watch.look(seconds: now, time: log.time)
    look.record.run = watch.run
    look.record.run.cpuSeconds = SampleCost.cpuSeconds
    look.record.run.resident = SampleCost.resident
    let outcome = store.add(look.record)
    for event in look.events {
      if case .began = event { begun += 1 }
      log.tell(event)
    }
    try tell(outcome)
    if now >= nextCleanUp { cleanUp() }
    if now >= nextStatus {
      nextStatus += Self.statusEvery
      log.write(status(log.line("status")))
    }
  }

  private func tell(_ outcome: SampleStore.Outcome) throws {
    switch outcome {
    case .written, .stillFailing: return
    case .recovered(let lost):
      var line = log.line("store-recovered")
      line.add("lost_intervals", lost)
      log.write(line)
    case .failed(let error):
      // Nothing can be written any more: better told by an end than by silence.
      if case .corrupt = error { throw Failure(.cannotWrite, "\(error)") }
      var line = log.line("store-failed")
      line.add("error", "\(error)")
      log.write(line)
      // What was kept too long may be what is in the way.
      nextCleanUp = 0
    }
  }

  private func cleanUp() {
    nextCleanUp = monotonicSeconds() + Self.cleanUpEvery
    do throws(StoreError) {
      let result = try store.store.retain(retention, time: log.time)
      guard result.deleted > 0 || result.isStillTooLarge || result.isHeldByReader else { return }
      var line = log.line("clean-up")
      line.add("deleted_rows", result.deleted)
      line.add("bytes_before", result.before)
      line.add("bytes", result.after)
      if result.isHeldByReader { line.add("held_by", "a reader") }
      if result.isStillTooLarge { line.add("too_large", "the newest interval alone") }
      log.write(line)
    } catch {
      var line = log.line("clean-up-failed")
      line.add("error", "\(error)")
      log.write(line)
    }
  }

  // MARK: - Beginning and end

  private func begin() throws {
    log.time = calendar.milliseconds
    do throws(StoreError) {
      try store.store.begin(
        time: log.time, drip: dripVersion, kernel: SystemFacts.read().kernelRelease, intervalSeconds: interval
      )
    } catch {
      throw Failure(.cannotWrite, "\(error)")
    }
    for sentence in SampleWords.beginning(
      interval: interval, path: store.store.path, retention, suspects: suspects?.options)
    {
      printError("drip: \(sentence)")
    }
    var line = log.line("start")
    line.add("drip", dripVersion)
    line.add("pid", getpid())
    line.add("interval_seconds", interval, decimals: 1)
    line.add("store", store.store.path)
    log.write(line)
  }

  private func finish(_ reason: String) throws {
    log.time = calendar.milliseconds
    var failure: StoreError?
    do throws(StoreError) {
      try store.store.end(time: log.time, reason: reason)
    } catch {
      failure = error
    }
    var line = log.line("end")
    line.add("reason", reason)
    log.write(status(line))
    let seconds = monotonicSeconds() - start
    printError(
      "drip: looked \(Quantities.count(watch.run.intervals)) times in \(Quantities.age(seconds)) at "
        + "\(Quantities.count(UInt64(watch.processes))) processes (at the end); \(Quantities.count(begun)) began to grow; used "
        + "\(Quantities.fixed(SampleCost.cpuSeconds / max(seconds, 0.001) * 100, decimals: 3)) % of a CPU and "
        + "\(Quantities.bytes(SampleCost.resident))")
    for sentence in SampleWords.losses(
      unread: watch.run.unread, missedLooks: missedLooks, lostIntervals: store.lostIntervals,
      lostGrowths: store.lostGrowths)
    {
      printError("drip: \(sentence)")
    }
    if let failure { throw Failure(.cannotWrite, "\(failure)") }
  }

  /// What it has done, what that has cost, and what is thereby not seen.
  private func status(_ line: LogLine) -> LogLine {
    var line = line
    let seconds = max(monotonicSeconds() - start, 0.001)
    line.add("seconds", seconds, decimals: 1)
    line.add("looks", watch.run.intervals)
    line.add("processes", UInt64(watch.processes))
    line.add("began_to_grow", begun)
    line.add("growing", UInt64(watch.growing.count))
    line.add("cpu_seconds", SampleCost.cpuSeconds, decimals: 3)
    line.add("cpu_percent", SampleCost.cpuSeconds / seconds * 100, decimals: 3)
    line.add("rss_bytes", SampleCost.resident)
    line.add("store_bytes", store.store.bytes)
    line.add("missed_looks", missedLooks)
    line.add("lost_intervals", store.lostIntervals)
    line.add("lost_growths", store.lostGrowths)
    line.add("unread", watch.run.unread)
    line.add("unfollowed_processes", UInt64(watch.unfollowed))
    line.add("unread_cgroups", UInt64(watch.unreadGroups))
    if let suspects {
      line.add("suspects_visited", suspects.visits)
      line.add("suspects_refused", suspects.refused)
      line.add("held_back_by_own_cpu", suspects.isHeldBack ? "yes" : "no")
    }
    return line
  }
}

/// The calendar's time by a clock that does not jump. When the machine's clock is set, it follows and says so.
struct SteadyCalendar {
  private var offset = Self.difference()
  private static let tolerance = 5.0

  /// Milliseconds since 1970.
  var milliseconds: Int64 { Int64((monotonicSeconds() + offset) * 1000) }

  /// By how many seconds the machine's clock was set since the last call; nil if it was not.
  mutating func follow() -> Double? {
    let jump = Self.difference() - offset
    guard jump.magnitude > Self.tolerance else { return nil }
    offset += jump
    return jump
  }

  private static func difference() -> Double { Double(unixNanoseconds()) / 1e9 - monotonicSeconds() }
}

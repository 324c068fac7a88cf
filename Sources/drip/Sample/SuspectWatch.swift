import ArgumentParser
import Glibc
import Governor
import Libbpf
import Processes
import Profile
import Reports
import Store

/// Chooses suspects among the processes that grow, one at a time, and visits them.
final class SuspectWatch {
  struct Options {
    /// The share of the target's CPU time that probes may cost.
    var budget: Double
    var sampleBytes: UInt64
    /// The share of a CPU that drip itself may use, and seconds that it may use at once before that counts.
    var ownShare = 0.01
    static let credit = 5.0
    /// Seconds that a visit lasts at most, and until the same process is visited again.
    static let longest = 600.0
    static let rest = 1800.0
    /// Seconds between two snapshots of a visit.
    static let snapshots = 60.0
    static let mostSites = 100
  }

  let options: Options
  private let target: TargetOptions
  private let start = monotonicSeconds()
  /// Kept as long as a visit lasts: it costs every BPF program of the machine a little.
  private var counting: Counting?
  private var secondsPerHit: Double?
  private(set) var visit: SuspectVisit?
  private var nextSnapshot = 0.0
  /// When a process may be visited again; those that could not be, too.
  private var notBefore: [ProcessIdentity: Double] = [:]
  /// Call sites that were told of in this visit.
  private var told: Set<[Frame]> = []
  private(set) var visits: UInt64 = 0
  private(set) var refused: UInt64 = 0
  /// Processes that grow and were not visited because drip may not use more of the CPU itself, at the last look.
  private(set) var isHeldBack = false

  private final class Counting {
    let counting: RunCounting
    init() throws(LibbpfError) { counting = try RunCounting() }
  }

  init(_ options: Options) throws {
    self.options = options
    target = try TargetOptions.parse([
      "--sample-bytes", "\(options.sampleBytes)", "--max-live", "65536", "--max-sites", "8192", "-p", "1",
    ])
  }

  /// After a look: begins, goes on with or ends a visit.
  func look(_ watch: SampleWatch, _ store: SampleStore, _ log: SampleLog) async {
    let now = monotonicSeconds()
    notBefore = notBefore.filter { $0.value > now }
    if let visit {
      if !watch.isGrowing(visit.process.identity) { return await end("does not grow any more", store, log) }
      if now - visit.began >= Options.longest { return await end("watched for long enough", store, log) }
      if now >= nextSnapshot { await keep(visit, store, log) }
      return
    }
    let own = getpid()
    let suspect = watch.growing.first {
      $0.process.identity.pid != own && notBefore[$0.process.identity] == nil
    }
    guard let suspect else { return isHeldBack = false }
    // What an attach takes was seen at the last one; the first one has the credit.
    isHeldBack = SampleCost.cpuSeconds > options.ownShare * (now - start) + Options.credit
    if !isHeldBack { await begin(suspect.process, log) }
  }

  private func begin(_ process: StoredProcess, _ log: SampleLog) async {
    notBefore[process.identity] = monotonicSeconds() + Options.rest
    let cpu = SampleCost.cpuSeconds
    do {
      counting = try Counting()
      let cost = await self.cost(log)
      visit = try await SuspectVisit.open(
        process, target, Governor.Settings(budget: options.budget, secondsPerHit: cost))
      visits += 1
      told = []
      nextSnapshot = monotonicSeconds() + Options.snapshots
      var line = log.name(log.line("suspect"), process)
      line.add("budget_percent", options.budget * 100, decimals: 2)
      line.add("sample_bytes", options.sampleBytes)
      line.add("microseconds_per_hit", cost * 1e6, decimals: 2)
      line.add("attach_cpu_seconds", SampleCost.cpuSeconds - cpu, decimals: 2)
      log.write(line)
    } catch {
      counting = nil
      refused += 1
      var line = log.name(log.line("suspect-refused"), process)
      line.add("error", Self.words(error))
      log.write(line)
    }
    // Opening a session catches it anew.
    signal(SIGHUP, SIG_IGN)
  }

  private static func words(_ error: any Error) -> String { (error as? Failure)?.message ?? "\(error)" }

  /// Measured once.
  private func cost(_ log: SampleLog) async -> Double {
    if let secondsPerHit { return secondsPerHit }
    do {
      secondsPerHit = try await Calibration.measure(target)
    } catch {
      secondsPerHit = Calibration.assumed
      var line = log.line("calibration-failed")
      line.add("error", Self.words(error))
      line.add("assumed_microseconds", Calibration.assumed * 1e6, decimals: 2)
      log.write(line)
    }
    return secondsPerHit ?? Calibration.assumed
  }

  /// Waits, and watches the suspect meanwhile if there is one.
  func wait(
    until moment: Double, _ waiter: inout Waiter, _ store: SampleStore, _ log: SampleLog
  ) async -> Waiter.Event {
    while let visit {
      do {
        let event = try await visit.watch(until: moment, &waiter)
        guard event == .targetExited else { return event }
        await end("exited", store, log)
      } catch {
        await end(Self.words(error), store, log)
      }
    }
    waiter.watch([])
    waiter.wakeDescriptors = []
    return waiter.wait(until: moment)
  }

  /// Ends the visit, if there is one.
  func end(_ reason: String, _ store: SampleStore, _ log: SampleLog) async {
    guard let visit else { return }
    await keep(visit, store, log)
    await visit.close()
    self.visit = nil
    counting = nil
    var line = log.name(log.line("suspect-end"), visit.process)
    line.add("reason", reason)
    log.write(describe(visit, line))
  }

  /// What was spent, and what was thereby not seen.
  private func describe(_ visit: SuspectVisit, _ line: LogLine) -> LogLine {
    var line = line
    let spending = visit.spending
    line.add("seconds", monotonicSeconds() - visit.began, decimals: 1)
    line.add("seen_percent", spending.seen * 100, decimals: 1)
    line.add("windows", spending.windows)
    line.add("hits", spending.hits)
    line.add("cost_seconds", spending.cost, decimals: 4)
    line.add("allowed_seconds", spending.allowed, decimals: 4)
    line.add("cpu_seconds", spending.targetCPU, decimals: 2)
    return line
  }

  private func keep(_ visit: SuspectVisit, _ store: SampleStore, _ log: SampleLog) async {
    nextSnapshot = monotonicSeconds() + Options.snapshots
    do {
      let snapshot = try await visit.snapshot(
        time: log.time, sampleBytes: options.sampleBytes, most: Options.mostSites)
      var line = describe(visit, log.name(log.line("snapshot"), visit.process))
      line.add("sites", UInt64(snapshot.sites.count))
      if let largest = snapshot.sites.first {
        line.add("largest", CallSite.name(largest.frames))
        line.add("largest_bytes", largest.outstandingBytes)
      }
      log.write(line)
      for site in snapshot.sites {
        guard let suspicion = site.suspicion, told.insert(site.frames).inserted else { continue }
        var line = log.name(log.line("suspicion"), visit.process)
        line.add("level", suspicion.level)
        line.add("site", CallSite.name(site.frames))
        line.add("outstanding_bytes", site.outstandingBytes)
        line.add("words", suspicion.words)
        log.write(line)
      }
      try store.store.add(snapshot)
    } catch {
      var line = log.name(log.line("snapshot-lost"), visit.process)
      line.add("error", Self.words(error))
      log.write(line)
    }
  }
}

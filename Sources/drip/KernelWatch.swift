import Capture
import LeakDetection
import Processes
import Profile
import Symbolication

/// A watch of the kernel's allocations: the capture, the names of what it sees, and what is thought of it.
final class KernelWatch {
  /// What a reader wants to see.
  struct Query {
    var sort: SortKey
    var limit: Int?
    /// Seconds; younger objects are not shown.
    var olderThan = 0.0
    var includesIdle = false
    var filters: [String] = []
    var ended: String?
    var view: StackView
    /// Read the report of the kernel's own leak detector, where there is one.
    var asksKmemleak = false
  }

  struct Result {
    var kernel: KernelProfile
    var judged: SiteJudgements
  }

  let capture: KernelCapture
  let options: KernelOptions
  private var names: KernelNames
  var detector = Detector()
  var growth = GrowthTracker()
  private var arming = ArmingPolicy()
  /// Of each site that was seen: named at once, for modules may go.
  var frames: [UInt32: [Frame]] = [:]
  let slabsBefore: SlabCounts?
  /// Why the kernel's own detector could not be asked, though it is there.
  var kmemleakNote: String?
  let startUnixNanoseconds = unixNanoseconds()
  let kernelRelease = SystemFacts.read().kernelRelease
  let processes: [Target]

  private init(
    _ capture: KernelCapture, _ options: KernelOptions, _ names: KernelNames, _ processes: [Target]
  ) {
    self.capture = capture
    self.options = options
    self.names = names
    self.processes = processes
    slabsBefore = SlabCounts.read()
  }

  /// Attaches to the kernel; nil if that is not asked for.
  static func open(_ options: KernelOptions, _ target: TargetOptions) throws(Failure) -> KernelWatch? {
    guard options.kernel else { return nil }
    let facts = SystemFacts.read()
    guard facts.canTrace else { throw Failure(.cannotAttach, CaptureError.notPrivileged.description) }
    guard facts.hasBTF else { throw Failure(.cannotAttach, CaptureError.noTypeInformation.description) }
    Waiter.catchSignals()
    do {
      let processes = try target.pids.map { try TargetProcess.open(pid: $0).identity }
      let names = try KernelNames()
      let capture = try KernelCapture(
        options: options.capture(
          target, interrupts: names.ranges(of: KernelCaptureOptions.interruptFunctions)),
        cpus: facts.possibleCPUs)
      printError("drip: attached to the kernel by \(capture.coverage.backend.title)")
      return KernelWatch(capture, options, names, processes)
    } catch let error as KernelSymbols.Failure {
      throw Failure(.cannotAttach, Self.words(error))
    } catch {
      throw Failure(.cannotAttach, "\(error)")
    }
  }

  private static func words(_ error: KernelSymbols.Failure) -> String {
    switch error {
    case .unreadable(let code):
      "/proc/kallsyms cannot be read (error \(code)): kernel stacks would have no names"
    case .hidden:
      "the kernel hides its addresses: drip needs CAP_SYSLOG, and kernel.kptr_restrict below 2 (sysctl kernel.kptr_restrict=1)"
    }
  }

  /// Seconds between two looks of a watch: often enough to see its later half, and never more than once a second.
  static func step(seconds: Double) -> Double { min(max(seconds / 20, 0.1), 1) }

  /// Waits and looks; the reason to stop early if there is one.
  func watch(seconds: Double) async throws -> String? {
    let waiter = Waiter()
    let end = monotonicSeconds() + seconds
    let step = Self.step(seconds: seconds)
    while monotonicSeconds() < end {
      if waiter.wait(until: min(monotonicSeconds() + step, end)) == .interrupted { return "interrupted" }
      try await look()
    }
    return nil
  }

  /// Reads the tables, names new stacks, and arms callers that grow.
  func look() async throws {
    let snapshot = try await read(olderThan: 0, isLast: false)
    try await capture.arm(arming.add(snapshot))
  }

  /// Counting ends; what was counted stays.
  func stop() async { await capture.stop() }

  func read(olderThan: Double, isLast: Bool) async throws -> Snapshot {
    let elapsed = await capture.elapsedSeconds
    let snapshot = try await capture.snapshot(
      olderThan: olderThan, cohorts: isLast || detector.isDue(elapsed))
    growth.add(snapshot)
    detector.add(snapshot)
    var isFresh = false
    for site in snapshot.sites where frames[site.id] == nil {
      if !isFresh { names.refresh() }
      isFresh = true
      let stack = await capture.stack(of: site.id)
      // Not stored yet: the next look has it.
      if stack.end != .missing { frames[site.id] = names.frames(stack.addresses) }
    }
    return snapshot
  }
}

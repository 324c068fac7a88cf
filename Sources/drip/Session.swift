import Capture
import Probes
import Processes
import Profile

/// The processes that are watched and the capture: what every capturing command begins with, and looks after while
/// it waits.
final class Session {
  let capture: LiveCapture
  /// The processes being traced, by their number in the capture.
  private(set) var running: [Int: TargetProcess]
  /// Facts met on the way that the report should tell.
  private(set) var notes: [String]
  private let keepsEnded: Bool
  private let allocators: [String]
  private var windows: DutyCycle.Schedule?

  private init(
    capture: LiveCapture, running: [Int: TargetProcess], notes: [String], keepsEnded: Bool,
    options: TargetOptions
  ) {
    self.capture = capture
    self.running = running
    self.notes = notes
    self.keepsEnded = keepsEnded
    allocators = options.allocator
    windows = options.duty?.schedule(from: monotonicNanoseconds())
  }

  /// Opens the targets, finds their allocators, attaches. Every way to fail is a `Failure` that says what to do.
  /// `keepsEnded`: what a process held when it exited stays in the result.
  static func open(_ options: TargetOptions, keepsEnded: Bool) async throws(Failure) -> Session {
    let facts = SystemFacts.read()
    guard facts.canTrace else { throw Failure(.cannotAttach, CaptureError.notPrivileged.description) }
    guard facts.hasBTF else { throw Failure(.cannotAttach, CaptureError.noTypeInformation.description) }
    Waiter.catchSignals()
    let pids = options.pids
    let first = pids[0]
    let session: Session
    do {
      let target = try TargetProcess.open(pid: first)
      let plan = try TargetPlan.make(for: target, allocators: options.allocator)
      let capture = try LiveCapture(
        target: target, plan: plan, options: options.capture, cpus: facts.possibleCPUs)
      session = Session(
        capture: capture, running: [0: target], notes: plan.notes, keepsEnded: keepsEnded,
        options: options)
      for pid in pids.dropFirst() { try await session.add(pid) }
    } catch let failure as Failure {
      throw failure
    } catch {
      // A target that went away meanwhile explains whatever else failed.
      if let gone = Session.exited(first, error) { throw gone }
      throw Failure(.cannotAttach, "\(error)")
    }
    session.announce()
    return session
  }

  private func announce() {
    let targets = running.values.map(\.identity).sorted { $0.pid < $1.pid }
    let names = targets.prefix(3).map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", ")
    let more = targets.count > 3 ? " and \(targets.count - 3) more" : ""
    printError("drip: attached to \(names)\(more) by \(capture.backend.title)")
  }

  private func add(_ pid: Int32) async throws {
    let target = try TargetProcess.open(pid: pid)
    let plan = try TargetPlan.make(for: target, allocators: allocators)
    running[try await capture.add(target, plan: plan)] = target
    notes += plan.notes
  }

  /// Follows what has become of the processes. False once none is left.
  func look() async throws -> Bool {
    for change in await capture.maintain() {
      switch change {
      case .exited(let number):
        running[number] = nil
        // The rows of the last one are the result.
        if !keepsEnded, !running.isEmpty { try await capture.purge(number) }
      case .execed(let number):
        let target = running.removeValue(forKey: number)
        // Its memory is gone with the old program: nothing of that can be outstanding.
        try await capture.purge(number)
        if let target { await follow(target) }
      }
    }
    try await openOrCloseWindow()
    return !running.isEmpty
  }

  private func openOrCloseWindow() async throws {
    guard let state = windows?.state(at: monotonicNanoseconds()) else { return }
    if state.isOn { try await capture.resume() } else { await capture.pause() }
  }

  /// What the report must say about how the capture was taken.
  func allNotes() async -> [String] {
    notes + (windows == nil ? [] : await capture.windowStatement()) + (await capture.notes)
  }

  /// A process runs another program now: begins anew with it.
  private func follow(_ old: TargetProcess) async {
    let pid = old.identity.pid
    do {
      try await add(pid)
      let command = running.values.first { $0.identity.pid == pid }?.identity.command ?? "another program"
      notes.append("pid \(pid) (\(old.identity.command)) executed \(command): counted anew from then on")
    } catch {
      notes.append(
        "pid \(pid) (\(old.identity.command)) executed another program, which is not watched: \(error)")
    }
  }

  /// When to look again: soon while something is undecided, else when the caller wants to.
  func nextLook(atLatest: Double) async -> Double {
    var next = atLatest
    if await capture.isOnTrial { next = min(next, monotonicSeconds() + 0.05) }
    if let change = windows?.state(at: monotonicNanoseconds()).nextChange {
      next = min(next, Double(change) / 1e9)
    }
    return next
  }

  private static func exited(_ pid: Int32, _ error: any Error) -> Failure? {
    guard !(error is ProcessError) else { return nil }
    do {
      _ = try TargetProcess.open(pid: pid)
      return nil
    } catch {
      return Failure(.cannotAttach, "process \(pid) exited while drip attached; nothing was counted")
    }
  }
}

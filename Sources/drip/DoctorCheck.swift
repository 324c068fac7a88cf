import Capture
import Probes
import Processes
import Profile

/// What `drip doctor -p PID` tries on the live process: the self-check of stacks, and the trials of one-trap sites.
struct DoctorCheck {
  let checks: StackChecks
  /// Functions that came to be counted by their inner sites.
  let oneTrap: [String]
  /// What the capture has to say, contradictions in a trial above all.
  let notes: [String]
  let tables: UnwindFigures

  private static let seconds = 2.0
  /// Stacks that are enough: each holds the process up for a few us.
  private static let enough: UInt64 = 2000

  /// Watches the process for a short time, unwinds its stacks twice, and lets trials be decided.
  static func run(_ target: TargetProcess, _ plan: ProbePlan, cpus: Int) async throws -> DoctorCheck {
    Waiter.catchSignals()
    let options = CaptureOptions(maxLive: 1 << 16, maxSites: 1 << 14, checkStacksEvery: 1)
    let capture = try LiveCapture(target: target, plan: plan, options: options, cpus: cpus)
    // The tables of large files come after the attach; stacks of before are walked without them.
    var changes = await capture.maintain()
    _ = try await capture.takeStackSamples(limit: 1000)
    let check = SelfCheck()
    let end = monotonicSeconds() + seconds
    let waiter = Waiter([target])
    while changes.isEmpty, check.figures(Losses()).checked < enough, monotonicSeconds() < end {
      guard waiter.wait(until: monotonicSeconds() + 0.02) == .timeout else { break }
      try await check.run(capture, [0: target])
      changes = await capture.maintain()
    }
    let oneTrap = await capture.oneTrapFunctions(of: 0).sorted()
    await capture.detach()
    let losses = try await capture.snapshot().losses
    return DoctorCheck(
      checks: check.figures(losses), oneTrap: oneTrap, notes: await capture.notes,
      tables: await capture.unwindFigures)
  }
}

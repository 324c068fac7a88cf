import Capture
import Probes
import Processes
import Profile

/// The self-check of stacks that `drip doctor -p PID` makes on the live process.
enum DoctorCheck {
  private static let seconds = 2.0
  /// Stacks that are enough: each holds the process up for some 10 us.
  private static let enough: UInt64 = 2000

  /// Watches the process for a short time and unwinds its stacks twice.
  static func run(_ target: TargetProcess, _ plan: ProbePlan, cpus: Int) async throws -> StackChecks {
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
    await capture.detach()
    let losses = try await capture.snapshot().losses
    return check.figures(losses)
  }
}

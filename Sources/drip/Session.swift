import Binaries
import Capture
import Probes
import Processes
import Profile

/// A target, what is probed in it, and the capture: what every capturing command begins with.
struct Session {
  let target: TargetProcess
  let plan: ProbePlan
  let capture: LiveCapture

  /// Opens the target, finds its allocator, attaches. Every way to fail is a `Failure` that says what to do.
  static func open(_ options: TargetOptions) throws(Failure) -> Session {
    let facts = SystemFacts.read()
    guard facts.canTrace else { throw Failure(.cannotAttach, CaptureError.notPrivileged.description) }
    guard facts.hasBTF else { throw Failure(.cannotAttach, CaptureError.noTypeInformation.description) }
    Waiter.catchSignals()
    do {
      let target = try TargetProcess.open(pid: options.pid)
      let plan = try TargetPlan.make(for: target, allocators: options.allocator)
      let capture = try LiveCapture(
        target: target, plan: plan, options: options.capture, cpus: facts.possibleCPUs)
      printError(
        "drip: attached to \(target.identity.command) (pid \(target.identity.pid)) by \(capture.backend.title)"
      )
      return Session(target: target, plan: plan, capture: capture)
    } catch let failure as Failure {
      throw failure
    } catch {
      // A target that went away meanwhile explains whatever else failed.
      if let gone = Session.exited(options.pid, error) { throw gone }
      throw Failure(.cannotAttach, "\(error)")
    }
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

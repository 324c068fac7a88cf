import ArgumentParser
import PointerScan

/// Whether suspects' objects are searched for, and what that may cost the target.
struct ConfirmOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      "At the end, search the target's memory for pointers to the oldest objects of the top call sites: what nothing points to is lost.",
      discussion:
        "The target stands still meanwhile, for at most 0.25 s for each 128 MiB of its memory. Nothing in it is changed."
    ))
  var confirm = false

  @Option(
    help: ArgumentHelp(
      "Without --confirm, do so by itself for the three gravest call sites that are suspected, if the target need not stand still for longer than this; 0: never.",
      valueName: "time"))
  var autoStop = TimeSpan(seconds: 0.1)

  @Option(help: ArgumentHelp("Call sites to inspect, in the order of --sort.", valueName: "count"))
  var confirmSites = 10

  @Flag(
    inversion: .prefixedNo,
    help: "Stop the target while it is searched; without it, two searches 10 s apart must agree.")
  var stop = true

  @Option(help: "Never stop the target for longer than this; what would take longer is done without a stop.")
  var maxStop = TimeSpan(seconds: 1)

  func validate() throws {
    guard (1...1000).contains(confirmSites) else {
      throw ValidationError("--confirm-sites must be between 1 and 1000")
    }
    guard maxStop.seconds > 0, maxStop.seconds <= 60 else {
      throw ValidationError(
        "--max-stop must be more than 0 and at most 60s; --no-stop never stops the target")
    }
  }

  /// Call sites that are inspected unasked.
  static let automaticSites = 3

  /// What may be done unasked: one search of a process that stands still, within the budget.
  var automatic: Inspection.Options {
    Inspection.Options(
      scan: ProcessScan.Options(stops: true, maxStop: min(autoStop.seconds, maxStop.seconds)))
  }

  /// Whether anything is searched unasked.
  var isAutomatic: Bool { !confirm && stop && autoStop.seconds > 0 }

  var inspection: Inspection.Options {
    Inspection.Options(scan: ProcessScan.Options(stops: stop, maxStop: maxStop.seconds))
  }
}

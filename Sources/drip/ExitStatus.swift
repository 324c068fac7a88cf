/// drip's exit codes; part of the interface (docs/formats.md).
enum ExitStatus: Int32 {
  case ok = 0
  /// Reserved for findings above --fail-on.
  case findings = 1
  case usage = 2
  /// The target or the kernel did not let drip in.
  case cannotAttach = 3
  /// The result could not be written.
  case cannotWrite = 4
}

/// An error with its exit code, ready to print.
struct Failure: Error {
  let status: ExitStatus
  let message: String

  init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }
}

import ArgumentParser
import Glibc

@main
enum Entry {
  static func main() async {
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try Drip.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch let failure as Failure {
      if !failure.message.isEmpty { printError("drip: \(failure.message)") }
      exit(failure.status.rawValue)
    } catch {
      let code = Drip.exitCode(for: error)
      let message = Drip.fullMessage(for: error)
      if code.isSuccess {
        print(message)
        exit(0)
      }
      printError(message)
      // ArgumentParser says EX_USAGE (64) for what is 2 everywhere else.
      exit(ExitStatus.usage.rawValue)
    }
  }
}

struct Drip: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drip",
    abstract: "Finds what a running process allocates and does not free.",
    discussion: """
      drip attaches to a live process with eBPF, with no restart and no recompilation, counts outstanding \
      allocations per call stack inside the kernel, and detaches without a trace.

      Exit codes: 0 done, 1 a finding that --fail-on names, 2 wrong usage, 3 could not attach, 4 could not write the result.
      """,
    version: "drip \(dripVersion)",
    subcommands: [Dump.self, Top.self, Doctor.self, Sample.self, Report.self, CalibrationCommand.self])
}

/// Writes one line to standard error.
func printError(_ text: String) {
  let line = text + "\n"
  _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
}

import ArgumentParser
import Glibc
import Processes
import Profile
import Reports
import Store

struct Sample: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stays on: watches the memory of all processes and keeps what it sees in a store.",
    discussion: """
      Looks at every process's memory, says which begin to grow and which cease, one line an event on standard output, \
      samples the call sites of the one that grows fastest within a budget, and writes all of it to a store that \
      `drip report` reads. Runs in the foreground until SIGINT or SIGTERM, or for \
      --duration. docs/production.md tells what it sees and what it costs.
      """)

  @Option(help: "The file to write to; made, in a folder of its own, if it is not there.")
  var store: String

  @Option(help: "Time between two looks (10s, 1m).")
  var interval = TimeSpan(seconds: 10)

  @Option(help: "How long to run; for ever if not given.")
  var duration: TimeSpan?

  @Option(help: "How long to keep what was seen (14d, 36h).")
  var keep = TimeSpan(seconds: 14 * 86_400)

  @Option(help: "How large the store may become; what is oldest goes (512MiB).")
  var keepBytes = ByteSize(bytes: 512 << 20)

  @Option(
    help: "What probes may cost a process that grows, of its own CPU time (1%); 0 attaches to none.")
  var budget = Percentage(share: 0.01)

  @Option(help: "Of such a process, one object is recorded for so many allocated bytes on average.")
  var sampleBytes = ByteSize(bytes: 512 << 10)

  func validate() throws {
    guard sampleBytes.bytes > 1, ByteSampling(distance: sampleBytes.bytes) != nil else {
      throw ValidationError("--sample-bytes must be between 2 and 4GiB")
    }
    guard (0.1...3600).contains(interval.seconds) else {
      throw ValidationError("--interval must be between 100ms and 1h")
    }
    if let duration, duration.seconds <= 0 { throw ValidationError("--duration must be more than 0") }
    guard keep.seconds >= 60 else { throw ValidationError("--keep must be at least 1m") }
    guard keepBytes.bytes >= 1 << 20 else { throw ValidationError("--keep-bytes must be at least 1MiB") }
  }

  func run() async throws {
    if budget.share > 0, !SystemFacts.read().canTrace {
      throw Failure(
        .cannotAttach, "attaching to processes that grow needs root; run drip as root, or with --budget 0")
    }
    let opened: Store
    do {
      opened = try Store.open(path: store, boot: SystemFacts.bootID())
    } catch {
      throw Failure(.cannotWrite, "\(error)")
    }
    let daemon = try SampleDaemon(
      store: opened, interval: interval.seconds,
      retention: Retention(age: keep.seconds, bytes: keepBytes.bytes),
      suspects: budget.share > 0
        ? SuspectWatch.Options(budget: budget.share, sampleBytes: sampleBytes.bytes) : nil)
    try await daemon.run(seconds: duration?.seconds)
  }
}

/// A share as an argument: "1%", "0.5%", or "0".
struct Percentage: ExpressibleByArgument, Hashable {
  let share: Double

  init(share: Double) { self.share = share }

  init?(argument: String) {
    let digits = argument.hasSuffix("%") ? argument.dropLast() : argument[...]
    guard argument.hasSuffix("%") || argument == "0", let value = Double(digits), (0...100).contains(value)
    else { return nil }
    share = value / 100
  }

  var defaultValueDescription: String { "\(Quantities.fixed(share * 100, decimals: 0))%" }
}

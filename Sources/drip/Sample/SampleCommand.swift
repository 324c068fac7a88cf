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
      and writes all of it to a store that `drip report` reads. Runs in the foreground until SIGINT or SIGTERM, or for \
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

  func validate() throws {
    guard (0.1...3600).contains(interval.seconds) else {
      throw ValidationError("--interval must be between 100ms and 1h")
    }
    if let duration, duration.seconds <= 0 { throw ValidationError("--duration must be more than 0") }
    guard keep.seconds >= 60 else { throw ValidationError("--keep must be at least 1m") }
    guard keepBytes.bytes >= 1 << 20 else { throw ValidationError("--keep-bytes must be at least 1MiB") }
  }

  func run() async throws {
    let daemon: SampleDaemon
    do {
      daemon = try SampleDaemon(
        store: Store.open(path: store, boot: SystemFacts.bootID()), interval: interval.seconds,
        retention: Retention(age: keep.seconds, bytes: keepBytes.bytes))
    } catch {
      throw Failure(.cannotWrite, "\(error)")
    }
    try await daemon.run(seconds: duration?.seconds)
  }
}

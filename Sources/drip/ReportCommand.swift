import ArgumentParser
import Reports
import Store

struct Report: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What a store of `drip sample` says: processes that grow, their call sites, suspicions.",
    discussion:
      "Reads while `drip sample` writes. Those that grow now come first, then the others by their rate.")

  @Option(help: "The store that `drip sample --store` wrote.")
  var store: String

  @Option(name: [.customShort("n"), .long], help: "Stretches of growth to show.")
  var top = 20

  @Option(help: "Call sites to show of each.")
  var sites = 5

  @Flag(help: "JSON, for programs (docs/production.md).")
  var json = false

  func validate() throws {
    guard (1...100_000).contains(top) else { throw ValidationError("-n must be between 1 and 100000") }
    guard (0...100_000).contains(sites) else { throw ValidationError("--sites must be between 0 and 100000") }
  }

  func run() async throws {
    let file = try OutputFile(path: nil)
    let report: StoreReport
    do {
      report = try StoreReader.open(path: store).report(most: top, sites: sites)
    } catch {
      throw Failure(.cannotAttach, "\(error)")
    }
    let text =
      json
      ? StoreJSON.render(report)
      : StoreText.render(
        report, now: unixNanoseconds() / 1_000_000, color: file.isTerminal && !Environment.noColor)
    try file.write(Array(text.utf8))
  }
}

import Foundation
import Testing

/// What the running kernel's verifier makes of drip's programs, with each of the options that make them larger. The guests'
/// kernels are asked in GuestTests.
@Suite("verified instructions, live", .enabled(if: canRunLive), .serialized)
struct VerifierLiveTests {
  private static let limit = 10_000

  /// Prints the programs of a process; built from the guests' source.
  private func tool(in folder: String) throws -> String {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Guest/proginfo.c").path
    let tool = folder + "/proginfo"
    try #require(try run("/usr/bin/gcc", ["-O1", "-o", tool, source]).status == 0)
    return tool
  }

  @Test(
    "no program takes the verifier more than 10,000, whatever is switched on",
    arguments: [
      [], ["--check-stacks", "100"], ["--sample-bytes", "4096"], ["--min-size", "100", "--domain", "all"],
      ["--sample-bytes", "4096", "--check-stacks", "100", "--domain", "all"],
    ])
  func size(options: [String]) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/drip-verifier-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let tool = try tool(in: folder)
    let program = try Child(DripBinary.workload("one_site"), ["1", "1000"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    for backend in ["session", "multi", "perf"] {
      let drip = try Child(
        DripBinary.path,
        ["dump", "-p", "\(program.pid)", "--duration", "120s", "--backend", backend] + options)
      let first = drip.waitForErrorLine { $0.contains("attached") || $0.contains("refused") }
      guard first?.contains("attached") == true else { continue }
      let text = try run(tool, ["\(drip.pid)"]).output
      drip.signal(SIGINT)
      _ = drip.finish()
      let figures = text.split(separator: "\n").compactMap { line -> (name: String, count: Int)? in
        let words = line.split(separator: " ")
        guard words.count == 4, words[0] == "PROGRAM", let count = Int(words[2]) else { return nil }
        return (String(words[1]), count)
      }
      let largest = try #require(figures.max { $0.count < $1.count })
      print("\(backend) \(options.joined(separator: " ")): \(largest.name) \(largest.count)")
      #expect(figures.contains { $0.name == "inside" })
      for figure in figures { #expect((1...Self.limit).contains(figure.count), "\(figure.name)") }
    }
  }
}

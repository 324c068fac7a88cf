import Binaries
import Capture
import Foundation
import LeakDetection
import Probes
import Processes
import Profile
import Testing

/// Verdicts on real allocations seen by real probes: the behaviours, with an hour of theirs in half a minute.
/// DRIP_VERDICT_RUNS sets how often.
@Suite("verdicts on behaviours", .enabled(if: canRunLive), .serialized)
struct VerdictTests {
  static let runs = Int(ProcessInfo.processInfo.environment["DRIP_VERDICT_RUNS"] ?? "") ?? 1
  /// How many of their seconds pass in one.
  static let speed = 120.0
  /// Their time, in seconds; the program works a little longer.
  static let watch = 3600.0

  @Test("after an hour leaks are leak or likely and innocents are neither", arguments: 1...runs)
  func levels(seed: Int) async throws {
    let program = try Child(
      DripBinary.workload("behaviours"),
      [
        "all", "--speed", "\(Self.speed)", "--seconds", "\(Self.watch + 600)", "--rate", "4", "--holding",
        "300",
        "--seed", "\(seed)",
      ])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let target = try TargetProcess.open(pid: program.pid)
    let capture = try LiveCapture(
      target: target, plan: try TrialTests.plan(for: target), options: CaptureOptions(maxSites: 1024),
      cpus: 64)
    program.send("GO")
    let (detector, last) = try await Self.watch(capture, speed: Self.speed, seconds: Self.watch)
    let names = try Names(program.pid)
    var levels: [String: Verdict.Level] = [:]
    let verdicts = detector.verdicts()
    for site in last.sites {
      guard let name = names.site(await capture.stack(of: site.id).addresses) else { continue }
      let level = verdicts[site.id]?.level ?? .steady
      levels[name] = max(levels[name] ?? .steady, level)
    }
    await capture.detach()
    program.send("END")
    var judged = 0
    while let line = program.line(), !line.hasPrefix("TOTAL") {
      let words = line.split(separator: " ")
      guard words.first == "SITE", words.count == 11 else { continue }
      let level = try #require(levels[String(words[1])], "\(words[1]) was not seen")
      #expect((level >= .likely) == (words[10] == "leak"), "\(words[1]) is \(level.rawValue), seed \(seed)")
      judged += 1
    }
    #expect(judged >= 25)
    program.send("END")
    _ = program.finish()
  }

  /// Polls every five seconds of the program's time, of which `speed` pass in one, until it has been watched for
  /// `seconds`.
  static func watch(
    _ capture: LiveCapture, speed: Double, seconds: Double
  ) async throws -> (Detector, Snapshot) {
    var detector = Detector()
    while true {
      try await Task.sleep(for: .seconds(5 / speed))
      var snapshot = try await capture.snapshot(cohorts: true)
      snapshot.elapsedSeconds *= speed
      snapshot.cohorts?.width *= speed
      detector.add(snapshot)
      if detector.now >= seconds { return (detector, snapshot) }
    }
  }

  /// The functions of the program that allocate, by address.
  private struct Names {
    private var functions: [(address: UInt64, name: String)] = []
    private var base: UInt64 = 0

    init(_ pid: Int32) throws {
      let path = DripBinary.workload("behaviours")
      for line in try run("/usr/bin/nm", [path]).output.split(separator: "\n") {
        let words = line.split(separator: " ")
        guard words.count == 3, words[1].lowercased() == "t", let address = UInt64(words[0], radix: 16) else {
          continue
        }
        functions.append((address, String(words[2])))
      }
      functions.sort { $0.address < $1.address }
      let maps = try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
      let first = maps.split(separator: "\n").first { $0.hasSuffix("/behaviours") }
      base = UInt64(first?.split(separator: "-").first ?? "", radix: 16) ?? 0
    }

    /// The site_ function on a stack.
    func site(_ addresses: [UInt64]) -> String? {
      for address in addresses where address > base {
        let name = functions.last { $0.address <= address - base }?.name ?? ""
        if name.hasPrefix("site_") { return name }
      }
      return nil
    }
  }
}

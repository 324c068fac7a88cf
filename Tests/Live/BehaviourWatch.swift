import Capture
import Foundation
import LeakDetection
import PointerScan
import Processes
import Profile
import Testing

/// The program of all behaviours, with its time compressed, and a capture of it.
final class BehaviourWatch {
  private let program: Child
  private let capture: LiveCapture
  /// How many of the program's seconds pass in one.
  private let speed: Double
  private(set) var detector = Detector()
  /// All that the detector was told, see `Recording`.
  private var recording = [Recording.header]
  private var last = Snapshot(elapsedSeconds: 0, sites: [])

  /// Starts the program, attaches and watches it for `seconds`. They and `holding`, the time that caches take to fill, are
  /// in the program's time. A machine that stood still has hidden a part of it; then the same is done again.
  static func run(seed: Int, speed: Double, seconds: Double, holding: Double) async throws -> BehaviourWatch {
    for _ in 0..<3 {
      let watch = try await BehaviourWatch(seed: seed, speed: speed, holding: holding)
      try await watch.watch(until: seconds)
      let seen = watch.detector.verdicts().values.map(\.evidence.watchedSeconds).max() ?? 0
      if seen >= 0.9 * seconds { return watch }
      print("verdicts: the machine stood still, seed \(seed): \(seen) of \(seconds) s were seen in one piece")
      _ = await watch.truth()
    }
    throw Interrupted()
  }

  struct Interrupted: Error {}

  private init(seed: Int, speed: Double, holding: Double) async throws {
    self.speed = speed
    program = try Child(
      DripBinary.workload("behaviours"),
      [
        // For as long as it is let.
        "all", "--speed", "\(speed)", "--seconds", "1e8", "--rate", "4", "--holding", "\(holding)",
        "--seed", "\(seed)",
      ])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let target = try TargetProcess.open(pid: program.pid)
    capture = try LiveCapture(
      target: target, plan: try TrialTests.plan(for: target), options: CaptureOptions(maxSites: 1024),
      cpus: 64)
    program.send("GO")
  }

  /// Polls until it has been watched for `seconds`.
  private func watch(until seconds: Double) async throws {
    (detector, last) = try await VerdictTests.watch(capture, speed: speed, seconds: seconds) {
      recording.append(Recording.line($0))
    }
  }

  /// What a search of the program's memory, while it stands still, finds about the objects of all sites. The program's
  /// clock goes on meanwhile.
  func search() async throws -> [UInt32: Reachability] {
    var options = Inspection.Options(scan: ProcessScan.Options(stops: true, maxStop: 30))
    // A debug build searches slower than is promised.
    options.scan.secondsPerByte = 1
    let inspection = try await Inspection.run(
      pid: program.pid, sites: last.sites.map(\.id), options: options,
      known: { [capture] in try await capture.liveObjects(of: 0) }, pause: { false })
    var found: [UInt32: Reachability] = [:]
    for one in try #require(inspection, "the program went away, or could not be stopped").objects {
      var result = found[one.object.site] ?? Reachability(inspected: 0, unreachable: 0, reachable: 0)
      result.inspected += 1
      switch one.outcome {
      case .unreachable: result.unreachable += 1
      case .onlyFromLost: result.onlyFromSuspects += 1
      case .reachable(let holder):
        result.reachable += 1
        if holder.source == .unknownHeap { result.onlyFromUnknownHeap += 1 }
      }
      found[one.object.site] = result
    }
    return found
  }

  /// The gravest verdict on each of the program's functions.
  func verdicts(_ reachability: [UInt32: Reachability] = [:]) async throws -> [String: Verdict] {
    let names = try Names(program.pid)
    let verdicts = detector.verdicts(reachability: reachability)
    var result: [String: Verdict] = [:]
    for site in last.sites {
      guard let name = names.site(await capture.stack(of: site.id).addresses), let verdict = verdicts[site.id]
      else { continue }
      if let other = result[name], Verdict.isGraver(other, verdict) { continue }
      result[name] = verdict
    }
    return result
  }

  /// A detector that has the recording for its only source.
  func replayed() throws -> Detector {
    var detector = Detector()
    var reader = RecordingReader()
    for line in recording { if let snapshot = try reader.read(line) { detector.add(snapshot) } }
    return detector
  }

  /// Ends the program.
  func truth() async -> [BehaviourTruth] {
    await capture.detach()
    program.send("END")
    var result: [BehaviourTruth] = []
    while let line = program.line(), !line.hasPrefix("TOTAL") {
      if let one = BehaviourTruth(line) { result.append(one) }
    }
    program.closeInput()
    _ = program.finish()
    return result
  }
}

/// What a site of the program says of itself at the end.
struct BehaviourTruth {
  let name: String
  let isLeak: Bool
  /// Objects that nothing points at.
  let lost: Int

  init?(_ line: String) {
    let words = line.split(separator: " ")
    guard words.count == 11, words[0] == "SITE", let lost = Int(words[8]) else { return nil }
    name = String(words[1])
    isLeak = words[10] == "leak"
    self.lost = lost
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

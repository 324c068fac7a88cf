import Foundation
import PointerScan
import Processes
import Profile
import Testing

/// A run of the workload `reach`, which knows who holds each of its objects.
final class ReachWorkload {
  let child: Child
  /// The live objects, each with the number of its kind as its site.
  private(set) var objects: [LiveObject] = []
  private(set) var kinds: [String] = []
  var pid: Int32 { child.pid }

  init(count: Int, padMiB: Int = 0) throws {
    child = try Child(
      DripBinary.workload("reach"), ["\(count)", "\(padMiB)"], environment: ["REACH_LIST": "1"])
    try #require(child.waitForLine { $0 == "READY" } != nil)
    child.send("GO")
    while let line = child.line(), line != "DONE" {
      let words = line.split(separator: " ")
      if words[0] == "KIND" { kinds.append(String(words[1])) }
      if words[0] == "OBJECT", let inverted = UInt64(words[2], radix: 16), let size = UInt64(words[3]) {
        objects.append(LiveObject(address: ~inverted, size: size, birth: 1, site: UInt32(kinds.count)))
      }
    }
    try #require(kinds.count == 19)
  }

  deinit { child.signal(SIGKILL) }

  func name(_ site: UInt32) -> String { kinds[Int(site) - 1] }

  /// Inspects all objects of all kinds.
  func inspect(
    stops: Bool = true, maxStop: Double = 30, pause: () async throws -> Bool = { true }
  ) async throws -> Inspection {
    let sites = (1...kinds.count).map { UInt32($0) }
    var options = Inspection.Options(
      scan: ProcessScan.Options(stops: stops, maxStop: maxStop), limit: 1 << 20)
    // A debug build searches slower than is promised.
    options.scan.secondsPerByte = 1
    let objects = self.objects
    let result = try await Inspection.run(
      pid: pid, sites: sites, options: options, known: { objects }, pause: pause)
    return try #require(result)
  }
}

/// How many of a kind had which outcome.
struct Outcomes {
  var unreachable = 0
  var onlyFromLost = 0
  var reachable = 0
  var sources: [PointerSource: Int] = [:]
  var lost: Int { unreachable + onlyFromLost }
  var all: Int { lost + reachable }

  mutating func add(_ outcome: Inspection.Outcome) {
    switch outcome {
    case .unreachable: unreachable += 1
    case .onlyFromLost: onlyFromLost += 1
    case .reachable(let holder):
      reachable += 1
      sources[holder.source, default: 0] += 1
    }
  }
}

extension Inspection {
  func outcomes(_ name: (UInt32) -> String) -> [String: Outcomes] {
    var result: [String: Outcomes] = [:]
    for one in objects { result[name(one.object.site), default: Outcomes()].add(one.outcome) }
    return result
  }
}

@Suite("the search for lost objects in live processes", .enabled(if: canRunLive), .serialized)
struct ReachTests {
  @Test("what is held is reachable, what is lost is not, in each way of holding and losing")
  func kinds() async throws {
    let workload = try ReachWorkload(count: 1000)
    let inspection = try await workload.inspect()
    #expect(inspection.isFrozen)
    for (name, outcomes) in inspection.outcomes(workload.name).sorted(by: { $0.key < $1.key }) {
      print(name, outcomes)
    }
  }
}

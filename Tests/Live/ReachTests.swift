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
  @Test("each way to hold an object is found, each way to lose one is told")
  func kinds() async throws {
    let workload = try ReachWorkload(count: 1000)
    let inspection = try await workload.inspect()
    #expect(inspection.isFrozen && inspection.obstacle == nil)
    #expect(inspection.objects.count == workload.objects.count)
    // A thread's own storage lies in the mapping of its stack, and is told apart where the mapping says which it is.
    let sources: [String: Set<PointerSource>] = [
      "keep_global": [.data], "keep_data": [.data], "keep_local": [.stack, .threadLocal],
      "keep_stack": [.stack],
      "keep_register": [.register], "keep_vector": [.register], "keep_list": [.data], "keep_ring": [.data],
      "keep_interior": [.data], "keep_tagged": [.data], "keep_mapped": [.unknownHeap],
      "keep_shared": [.shared],
      "keep_kernel": [.kernel],
    ]
    for (name, outcomes) in inspection.outcomes(workload.name) {
      if name.hasPrefix("keep") {
        #expect(outcomes.lost == 0, "\(name): \(outcomes)")
        let told = try #require(sources[name]).reduce(0) { $0 + (outcomes.sources[$1] ?? 0) }
        #expect(told >= outcomes.all * 99 / 100, "\(name): \(outcomes)")
      } else {
        #expect(outcomes.lost >= outcomes.all * 95 / 100, "\(name): \(outcomes)")
        // One list has one head; nothing points to that.
        let isHeld = ["lose_ring", "lose_list"].contains(name)
        #expect(isHeld == (outcomes.onlyFromLost > outcomes.unreachable), "\(name): \(outcomes)")
      }
    }
    // The target runs on: its truth ends as if nothing had been.
    workload.child.send("END")
    #expect(workload.child.waitForLine { $0 == "BYE" } != nil)
  }

  @Test("of over 100,000 objects in use under one in a thousand is called lost, of the lost 95 % are proved")
  func rates() async throws {
    let workload = try ReachWorkload(count: 14_000)
    let inspection = try await workload.inspect()
    #expect(inspection.isFrozen)
    var (kept, called, lost, proved) = (0, 0, 0, 0)
    for (name, outcomes) in inspection.outcomes(workload.name) {
      if name.hasPrefix("keep") {
        kept += outcomes.all
        called += outcomes.lost
      } else {
        lost += outcomes.all
        proved += outcomes.lost
      }
    }
    print("reach: \(called) of \(kept) in use called lost, \(proved) of \(lost) lost ones proved")
    #expect(kept >= 100_000)
    #expect(called * 1000 < kept)
    #expect(proved * 100 >= lost * 95)
  }

  @Test("without a stop two searches agree; dead stack and registers are not known then")
  func running() async throws {
    let workload = try ReachWorkload(count: 1000)
    var pauses = 0
    let inspection = try await workload.inspect(
      stops: false,
      pause: {
        pauses += 1
        return true
      })
    #expect(!inspection.isFrozen && inspection.scans.count == 2 && pauses == 1)
    #expect(inspection.stoppedSeconds == 0)
    for (name, outcomes) in inspection.outcomes(workload.name) {
      switch name {
      case "keep_register", "keep_vector": continue
      case "lose_below": #expect(outcomes.reachable > 100, "\(name): \(outcomes)")
      case _ where name.hasPrefix("keep"): #expect(outcomes.lost == 0, "\(name): \(outcomes)")
      default: #expect(outcomes.lost >= outcomes.all * 95 / 100, "\(name): \(outcomes)")
      }
    }
  }

  @Test("a search that is called off between the two says nothing")
  func calledOff() async throws {
    let workload = try ReachWorkload(count: 10)
    let objects = workload.objects
    let options = Inspection.Options(scan: ProcessScan.Options(stops: false))
    let result = try await Inspection.run(
      pid: workload.pid, sites: [1], options: options, known: { objects }, pause: { false })
    #expect(result == nil)
  }

  @Test("what was freed meanwhile is not inspected, and what it pointed to counts as held")
  func freed() async throws {
    let workload = try ReachWorkload(count: 1000)
    let list = UInt32(try #require(workload.kinds.firstIndex(of: "lose_list"))) + 1
    var calls = 0
    let objects = workload.objects
    let all = objects.filter { $0.site == list }.sorted { $0.address < $1.address }
    // Every second one goes between the first reading and the last.
    let left =
      objects.filter { $0.site != list } + all.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    var options = Inspection.Options(scan: ProcessScan.Options(maxStop: 30), limit: 1 << 20)
    options.scan.secondsPerByte = 1
    let result = try await Inspection.run(
      pid: workload.pid, sites: [list], options: options,
      known: {
        calls += 1
        return calls == 1 ? objects : left
      }, pause: { true })
    let inspection = try #require(result)
    #expect(inspection.freed == all.count - inspection.objects.count && inspection.freed == all.count / 2)
    let outcomes = try #require(inspection.outcomes(workload.name)["lose_list"])
    #expect(outcomes.sources[.unknownHeap] == outcomes.reachable)
    #expect(outcomes.reachable >= outcomes.all - 1)
  }

  @Test("above the allowed time the process goes on, and is searched while it runs")
  func aboveTheCap() async throws {
    let workload = try ReachWorkload(count: 100, padMiB: 200)
    let inspection = try await workload.inspect(maxStop: 0.01)
    #expect(!inspection.isFrozen && inspection.scans.count == 2)
    #expect(inspection.obstacle?.contains("could not be searched within") == true)
    // The first scan alone tried to stop it, and no longer than that and what a machine under load adds.
    #expect(inspection.scans[1].stoppedSeconds == 0)
    #expect(inspection.scans[0].stoppedSeconds < inspection.scans[0].seconds)
    for (name, outcomes) in inspection.outcomes(workload.name) where name.hasPrefix("lose_plain") {
      #expect(outcomes.lost >= 95)
    }
  }

  @Test("a reservation of 64 GiB that nobody touches is not read")
  func reservation() async throws {
    let workload = try ReachWorkload(count: 100)
    let inspection = try await workload.inspect()
    #expect(inspection.bytes < 64 << 20)
    #expect(inspection.scans[0].plan.regions.contains { $0.end - $0.start >= 64 << 30 })
  }
}

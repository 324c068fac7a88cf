import Capture
import LeakDetection
import Processes
import Profile

/// What is learned of a capture's sites and processes while it is watched.
struct Suspicions {
  private let session: Session
  private var detector = Detector()
  /// By the number of the process.
  private var memory: [Int: ProcessGrowth] = [:]
  private var growth = GrowthTracker()

  init(_ session: Session) { self.session = session }

  /// A snapshot with all that is due now. `older`: the age filter of what is shown, in seconds.
  mutating func snapshot(older: Double = 0, isLast: Bool = false) async throws -> Snapshot {
    let elapsed = await session.capture.elapsedSeconds
    let snapshot = try await session.capture.snapshot(
      olderThan: older, cohorts: isLast || detector.isDue(elapsed))
    growth.add(snapshot)
    detector.add(snapshot)
    if snapshot.cohorts != nil { sampleMemory(snapshot) }
    return snapshot
  }

  private mutating func sampleMemory(_ snapshot: Snapshot) {
    var heap: [Int: UInt64] = [:]
    var mapped: [Int: UInt64] = [:]
    for site in snapshot.sites { heap[site.process, default: 0] &+= site.outstandingBytes }
    for site in snapshot.mapped { mapped[site.process, default: 0] &+= site.outstandingBytes }
    for (number, target) in session.running {
      guard let use = MemoryUse.read(pid: target.identity.pid) else { continue }
      memory[number, default: ProcessGrowth()].add(
        MemorySample(
          seconds: snapshot.elapsedSeconds, resident: use.resident, anonymous: use.anonymous,
          heap: heap[number] ?? 0,
          mapped: session.domain.includesMappings ? mapped[number] ?? 0 : nil, threads: use.threads))
    }
  }

  /// Bytes per second by which each site grew over the later half of the watch.
  var growthBytesPerSecond: [UInt32: Double] { growth.growthBytesPerSecond() }

  /// A verdict on each site. The nearest limit of any watched process counts.
  func verdicts(_ reachability: [UInt32: Reachability] = [:]) -> [UInt32: Verdict] {
    let limits = MemoryLimits(
      session.running.values.flatMap { MemoryLimitReader.read(pid: $0.identity.pid).all })
    return detector.verdicts(limits: limits, reachability: reachability)
  }

  /// How each process has grown, and by what: sentences.
  var processSentences: [String] {
    memory.sorted { $0.key < $1.key }.compactMap { number, growth in
      guard let sentence = growth.sentence else { return nil }
      guard memory.count > 1, let target = session.running[number] else { return sentence }
      return "pid \(target.identity.pid): " + sentence
    }
  }
}

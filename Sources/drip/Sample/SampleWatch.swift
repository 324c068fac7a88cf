import Binaries
import Processes
import Store
import Trends

/// The first tier: looks at the memory of all processes, and tells which begin to grow and which cease.
final class SampleWatch {
  /// What is to be told of a process.
  enum Event {
    case began(StoredProcess, Growth)
    case ended(StoredProcess, Growth, reason: String)
  }

  struct Look {
    var record: IntervalRecord
    var events: [Event] = []
  }

  private struct Known {
    var process: StoredProcess
    /// What the store has, and since when (seconds).
    var stored: MemoryRow?
    var storedAt = 0.0
    /// The growth's name in the store, as long as it lasts: when it began and was told, in milliseconds since 1970.
    var since: Int64?
    var told: Int64 = 0
    var round: UInt64 = 0
  }

  /// More than any host should have; the table of trends has room for as many.
  static let capacity = 16_384
  /// Groups that are read at a look.
  private static let mostGroups = 1024
  /// A row is written for a change of so much, and after so many seconds without one.
  private static let leastChange: UInt64 = 64 << 10
  private static let longest = 300.0

  private var table = ProcessTable()
  private let groups = GroupMemoryReader()
  private var trends = TrendTable<ProcessIdentity>(capacity: capacity)
  private var known: [ProcessIdentity: Known] = [:]
  private var storedGroups: [String: (row: GroupRow, at: Double)] = [:]
  private var buildIDs: [FileBytes.Identity: String] = [:]
  private var round: UInt64 = 0
  private(set) var run = RunState()
  /// Processes that found no room, at the latest look, and control groups.
  private(set) var unfollowed = 0
  private(set) var unreadGroups = 0

  var processes: Int { known.count }

  /// Processes that grow, the fastest first by what is certain of their rate.
  var growing: [(process: StoredProcess, growth: Growth)] {
    trends.growing.compactMap { identity, growth in known[identity].map { ($0.process, growth) } }
      .sorted { ($0.growth.low, $0.process.identity.pid) > ($1.growth.low, $1.process.identity.pid) }
  }

  func isGrowing(_ identity: ProcessIdentity) -> Bool { trends.growth(of: identity) != nil }

  /// Looks once. `seconds`: of a clock that does not jump; `time`: milliseconds since 1970.
  func look(seconds: Double, time: Int64) throws(Failure) -> Look {
    guard let found = table.read() else {
      throw Failure(.cannotAttach, "/proc cannot be read; mount it, and run drip as root")
    }
    round += 1
    run.intervals += 1
    run.unread += found.unread
    unfollowed = 0
    var look = Look(record: IntervalRecord(time: time))
    let clock = Clock(seconds: seconds, time: time)
    for reading in found.processes { add(reading, clock, &look) }
    removeGone(clock, &look)
    readGroups(clock, &look)
    return look
  }

  /// How moments of the steady clock read on the calendar.
  private struct Clock {
    var seconds: Double
    var time: Int64

    func time(at moment: Double) -> Int64 { time - Int64((seconds - moment) * 1000) }
  }

  private func add(_ reading: ProcessReading, _ clock: Clock, _ look: inout Look) {
    let identity = ProcessIdentity(
      pid: reading.pid, startTicks: reading.startTicks, image: reading.image)
    var one: Known
    if let before = known[identity] {
      one = before
    } else {
      guard known.count < Self.capacity else {
        unfollowed += 1
        return
      }
      one = Known(process: describe(reading, identity))
      look.record.processes.append(one.process)
    }
    one.round = round
    let command = String(decoding: reading.command, as: UTF8.self)
    if command != one.process.command {
      one.process.command = command
      look.record.processes.append(one.process)
    }
    let row = MemoryRow(
      process: identity, resident: reading.resident, anonymous: reading.anonymous, swapped: reading.swapped)
    if Self.isWorthARow(row, one.stored, seconds: clock.seconds - one.storedAt) {
      look.record.memory.append(row)
      one.stored = row
      one.storedAt = clock.seconds
    }
    let event = trends.add(identity, seconds: clock.seconds, bytes: reading.own)
    tell(event, &one, clock, &look)
    known[identity] = one
  }

  private func tell(_ event: Trend.Event?, _ one: inout Known, _ clock: Clock, _ look: inout Look) {
    let identity = one.process.identity
    switch event {
    case nil: return
    case .began, .goesOn:
      guard let growth = trends.growth(of: identity) else { return }
      if one.since == nil {
        one.since = clock.time(at: growth.since)
        one.told = clock.time
        look.events.append(.began(one.process, growth))
      }
      look.record.growths.append(row(growth, one, clock))
    case .ended(let growth):
      end(growth, growth.to > growth.from ? "levelled off" : "shrank", &one, clock, &look)
    }
  }

  private func end(
    _ growth: Growth, _ reason: String, _ one: inout Known, _ clock: Clock, _ look: inout Look
  ) {
    var row = row(growth, one, clock)
    row.ended = clock.time
    row.reason = reason
    look.record.growths.append(row)
    look.events.append(.ended(one.process, growth, reason: reason))
    one.since = nil
  }

  private func row(_ growth: Growth, _ one: Known, _ clock: Clock) -> GrowthRow {
    GrowthRow(
      process: one.process.identity, since: one.since ?? clock.time(at: growth.since), told: one.told,
      seen: clock.time(at: growth.seen), bytesPerSecond: growth.bytesPerSecond, low: growth.low,
      high: growth.high, from: growth.from, to: growth.to)
  }

  private func removeGone(_ clock: Clock, _ look: inout Look) {
    // Those that were not seen in this round: gone, or running another program.
    for (identity, one) in known where one.round != round {
      known[identity] = nil
      var one = one
      if let growth = trends.remove(identity) {
        let isThere = look.record.processes.contains {
          $0.identity.pid == identity.pid && $0.identity.startTicks == identity.startTicks
        }
        end(growth, isThere ? "executed another program" : "exited", &one, clock, &look)
      }
      look.record.gone.append(identity)
    }
  }

  private static func isWorthARow(_ new: MemoryRow, _ old: MemoryRow?, seconds: Double) -> Bool {
    guard let old, seconds < longest else { return true }
    return zip(
      [new.resident, new.anonymous, new.swapped], [old.resident, old.anonymous, old.swapped]
    ).contains { new, old in
      (new > old ? new - old : old - new) >= max(leastChange, old / 100)
    }
  }

  private func describe(_ reading: ProcessReading, _ identity: ProcessIdentity) -> StoredProcess {
    let facts = ProcessFacts.read(pid: reading.pid)
    return StoredProcess(
      identity: identity, command: String(decoding: reading.command, as: UTF8.self),
      executable: facts.executable, buildID: buildID(reading.pid), cgroup: facts.cgroup)
  }

  /// Of the executable; read once a file.
  private func buildID(_ pid: Int32) -> String {
    guard let file = try? FileBytes(path: "/proc/\(pid)/exe") else { return "" }
    if let known = buildIDs[file.identity] { return known }
    if buildIDs.count >= 4096 { buildIDs = [:] }
    let id = (try? ELFFile(file))?.buildID ?? ""
    buildIDs[file.identity] = id
    return id
  }

  /// Groups with processes in them.
  private func readGroups(_ clock: Clock, _ look: inout Look) {
    let paths = Set(known.values.map(\.process.cgroup)).subtracting([""])
    storedGroups = storedGroups.filter { paths.contains($0.key) }
    unreadGroups = max(paths.count - Self.mostGroups, 0)
    for path in paths.sorted().prefix(Self.mostGroups) {
      guard let memory = groups.read(path) else { continue }
      let row = GroupRow(
        path: path, current: memory.current, swapped: memory.swapped, limit: memory.limit,
        killed: memory.killed)
      if let (old, at) = storedGroups[path], clock.seconds - at < Self.longest,
        old.limit == row.limit, old.killed == row.killed,
        max(old.current, row.current) - min(old.current, row.current)
          < max(Self.leastChange, old.current / 100)
      {
        continue
      }
      storedGroups[path] = (row, clock.seconds)
      look.record.groups.append(row)
    }
  }
}

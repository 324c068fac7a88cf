import Store

/// Writes intervals to the store, and goes on when one cannot be written: what must not be lost, that processes came and
/// went and how they grew, is kept for the next one; the samples of the interval are lost, and counted.
struct SampleStore {
  /// What became of a write.
  enum Outcome {
    case written
    /// Written again, after so many were lost.
    case recovered(lost: UInt64)
    /// The first one that could not be written, and why.
    case failed(StoreError)
    /// And further ones.
    case stillFailing
  }

  let store: Store
  private var processes: [ProcessIdentity: StoredProcess] = [:]
  private var gone: [ProcessIdentity] = []
  private var growths: [GrowthRow] = []
  private var failing: UInt64 = 0
  private(set) var lostIntervals: UInt64 = 0
  /// Stretches of growth that were not stored, because the store could not be written for too long.
  private(set) var lostGrowths: UInt64 = 0
  private static let mostGrowths = 10_000

  init(_ store: Store) { self.store = store }

  mutating func add(_ record: IntervalRecord) -> Outcome {
    var record = record
    record.run.lostIntervals = lostIntervals
    if failing > 0 { carry(into: &record) }
    do throws(StoreError) {
      try store.add(record)
      defer { failing = 0 }
      (processes, gone, growths) = ([:], [], [])
      return failing > 0 ? .recovered(lost: failing) : .written
    } catch {
      keep(record)
      lostIntervals += 1
      failing += 1
      return failing == 1 ? .failed(error) : .stillFailing
    }
  }

  private func carry(into record: inout IntervalRecord) {
    record.processes = Array(processes.values) + record.processes
    record.gone = gone + record.gone
    record.growths = growths + record.growths
  }

  /// The record holds what was kept before, too.
  private mutating func keep(_ record: IntervalRecord) {
    processes = Dictionary(record.processes.map { ($0.identity, $0) }) { $1 }
    // The newest row of each stretch says it all.
    var newest: [GrowthName: GrowthRow] = [:]
    for row in record.growths { newest[GrowthName(process: row.process, since: row.since)] = row }
    growths = newest.values.sorted { $0.seen > $1.seen }
    if growths.count > Self.mostGrowths {
      lostGrowths += UInt64(growths.count - Self.mostGrowths)
      growths.removeLast(growths.count - Self.mostGrowths)
    }
    // One that came and went without growth in the meantime is not worth a row: or these would be without end.
    let grown = Set(growths.map(\.process))
    gone = record.gone.filter { identity in
      guard processes[identity] != nil, !grown.contains(identity) else { return true }
      processes[identity] = nil
      return false
    }
    if gone.count > Self.mostGrowths { gone.removeFirst(gone.count - Self.mostGrowths) }
  }

  private struct GrowthName: Hashable {
    var process: ProcessIdentity
    var since: Int64
  }
}

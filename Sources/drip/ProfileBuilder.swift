import Capture
import LeakDetection
import Processes
import Profile
import Symbolication

/// Turns a snapshot of a session into a named profile.
final class ProfileBuilder {
  private let session: Session
  /// One for each process, by number; those of processes that have gone are kept for their rows.
  private var symbolizers: [Int: Symbolizer] = [:]
  private let startUnixNanoseconds: Int64
  private let kernelRelease: String

  init(_ session: Session) {
    self.session = session
    startUnixNanoseconds = unixNanoseconds()
    kernelRelease = SystemFacts.read().kernelRelease
    refreshMappings()
    session.onAdd = { [weak self] number, target in self?.learn(number, target) }
  }

  /// Learns what the processes have mapped.
  func refreshMappings() {
    for (number, target) in session.running { learn(number, target) }
  }

  /// Files are opened now: once a process has exited there is no way to them.
  private func learn(_ number: Int, _ target: TargetProcess) {
    let pid = target.identity.pid
    guard let mappings = try? MemoryMap.read(pid: pid), !mappings.isEmpty else { return }
    let symbolizer = symbolizers[number] ?? Symbolizer(pid: pid)
    symbolizer.update(
      mappings: mappings.map {
        SymbolMapping(
          start: $0.start, end: $0.end, fileOffset: $0.fileOffset,
          executable: $0.permissions.contains(.execute), path: $0.path)
      })
    symbolizer.preload()
    symbolizers[number] = symbolizer
  }

  /// `isAgeFiltered`: show the objects that passed the snapshot's age filter only.
  func profile(
    _ snapshot: Snapshot, sort: SortKey, limit: Int?, isAgeFiltered: Bool, includesIdle: Bool = false,
    growth: [UInt32: Double], filters: [String], ended: String?
  ) async -> HeapProfile {
    // Stacks that came since the last look; later there may be nobody to ask.
    await session.python?.learn(session.capture, session.running)
    let ranking = Ranking(
      snapshot, by: sort, limit: limit, isAgeFiltered: isAgeFiltered, includesIdle: includesIdle,
      growth: growth)
    var losses = snapshot.losses
    let checks = session.stackChecks(losses)
    losses[.stackMismatches] = checks?.disagreed ?? 0
    let processes = await session.capture.processes
    let targets = Dictionary(uniqueKeysWithValues: processes.map { ($0.number, $0.target) })
    var oneTrap: Set<String> = []
    for process in processes {
      oneTrap.formUnion(await session.capture.oneTrapFunctions(of: process.number))
    }
    var sites: [Site] = []
    for entry in ranking.entries { sites.append(await site(entry, targets, &losses)) }
    var mapped: MappedMemory?
    if session.domain.includesMappings {
      let ranking = Ranking(
        Snapshot(elapsedSeconds: snapshot.elapsedSeconds, sites: snapshot.mapped), by: sort, limit: limit,
        isAgeFiltered: isAgeFiltered, includesIdle: includesIdle)
      var entries: [MappedMemory.Entry] = []
      for entry in ranking.entries {
        let site = await site(entry, targets, &losses)
        entries.append(
          MappedMemory.Entry(
            origin: MappingOrigin(site.frames, allocators: session.allocatorFunctions), site: site))
      }
      mapped = MappedMemory(
        totals: ranking.totals, entries: entries, omittedSites: ranking.omittedSites,
        omittedBytes: ranking.omittedBytes)
    }
    return HeapProfile(
      dripVersion: dripVersion,
      capture: CaptureInfo(
        startUnixNanoseconds: startUnixNanoseconds, seconds: snapshot.elapsedSeconds, kernel: kernelRelease,
        backend: session.capture.backend.title, ended: ended, filters: filters,
        oneTrap: oneTrap.sorted(), notes: await session.allNotes() + symbolNotes(targets)),
      processes: processes.map(\.target), totals: ranking.totals, losses: losses, table: snapshot.table,
      sites: sites, omittedSites: ranking.omittedSites, omittedBytes: ranking.omittedBytes,
      omittedCount: ranking.omittedCount, mapped: mapped, hasHeap: session.domain.includesHeap,
      checks: checks)
  }

  private func symbolNotes(_ targets: [Int: Target]) -> [String] {
    symbolizers.sorted { $0.key < $1.key }.flatMap { number, symbolizer in
      symbolizer.notes.map { "pid \(targets[number]?.pid ?? 0): \($0)" }
    }
  }

  private func site(
    _ entry: Ranking.Entry, _ targets: [Int: Target], _ losses: inout Losses
  ) async -> Site {
    let stack = await session.capture.stack(of: entry.site.id)
    let native = PythonFrames.native(stack.addresses, isPython: session.python != nil)
    var frames = native.flatMap { symbolizers[entry.site.process]?.frames(for: $0) ?? [] }
    if let python = session.python?.stack(of: entry.site.id) {
      frames = PythonFrames.merge(native: frames, python: python)
    }
    losses[.unsymbolisedFrames] += UInt64(frames.count { $0.function == nil })
    return Site(
      pid: targets[entry.site.process]?.pid ?? 0, outstandingBytes: entry.outstandingBytes,
      outstandingCount: entry.outstandingCount, allocs: entry.site.allocs, frees: entry.site.frees,
      allocatedBytes: entry.site.allocatedBytes, oldestSeconds: entry.site.oldestSeconds,
      growthBytesPerSecond: entry.growthBytesPerSecond, frames: frames, stackEnd: stack.end,
      sampled: entry.site.sampled)
  }
}

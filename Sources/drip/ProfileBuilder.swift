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
  private let symbols = SymbolStore()
  /// The memory map's epoch in which a site was first seen: its stack is named by what lay there then.
  private var epochs: [UInt32: Int] = [:]
  private let startUnixNanoseconds: Int64
  private let kernelRelease: String

  init(_ session: Session) {
    self.session = session
    startUnixNanoseconds = unixNanoseconds()
    kernelRelease = SystemFacts.read().kernelRelease
    refreshMappings()
    session.onLoad = { [weak self] module in
      self?.symbolizers[module.process]?.learn(
        path: String(decoding: module.path, as: UTF8.self), base: module.base, change: module.change)
    }
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
    let symbolizer = symbolizers[number] ?? Symbolizer(pid: pid, store: symbols)
    symbolizer.update(
      mappings: mappings.map {
        SymbolMapping(
          start: $0.start, end: $0.end, fileOffset: $0.fileOffset,
          executable: $0.permissions.contains(.execute), path: $0.path,
          device: UInt64($0.deviceMajor) << 32 | UInt64($0.deviceMinor), inode: $0.inode)
      })
    symbolizer.preload()
    symbolizers[number] = symbolizer
  }

  /// Remembers what was mapped when the sites of a snapshot were first seen. To be called with every snapshot.
  func note(_ snapshot: Snapshot) {
    for site in snapshot.sites where epochs[site.id] == nil {
      epochs[site.id] = symbolizers[site.process]?.epoch ?? 0
    }
  }

  /// `isAgeFiltered`: show the objects that passed the snapshot's age filter only.
  func profile(
    _ snapshot: Snapshot, sort: SortKey, limit: Int?, isAgeFiltered: Bool, includesIdle: Bool = false,
    growth: [UInt32: Double], filters: [String], ended: String?, view: StackView = StackView()
  ) async -> HeapProfile {
    // Stacks that came since the last look; later there may be nobody to ask.
    await session.python?.learn(session.capture, session.running)
    note(snapshot)
    // Names are found for what is shown only, unless the names decide that.
    let early = view.isPlain ? limit : nil
    let ranking = Ranking(
      snapshot, by: sort, limit: early, isAgeFiltered: isAgeFiltered, includesIdle: includesIdle,
      growth: growth)
    let processes = await session.capture.processes
    let targets = Dictionary(uniqueKeysWithValues: processes.map { ($0.number, $0.target) })
    var oneTrap: Set<String> = []
    for process in processes {
      oneTrap.formUnion(await session.capture.oneTrapFunctions(of: process.number))
    }
    var heap = ShownSites(ranking)
    heap.sites = await sites(ranking, targets)
    var summary = heap.apply(view, sort: sort, limit: limit)
    var mapped: MappedMemory?
    if session.domain.includesMappings {
      let ranking = Ranking(
        Snapshot(elapsedSeconds: snapshot.elapsedSeconds, sites: snapshot.mapped), by: sort, limit: early,
        isAgeFiltered: isAgeFiltered, includesIdle: includesIdle)
      var shown = ShownSites(ranking)
      shown.sites = await sites(ranking, targets)
      let (memory, left) = shown.mapped(
        view, sort: sort, limit: limit, allocators: session.allocatorFunctions, totals: ranking.totals)
      mapped = memory
      summary.foldedFrames += left.foldedFrames
    }
    var losses = snapshot.losses
    let checks = session.stackChecks(losses)
    losses[.stackMismatches] = checks?.disagreed ?? 0
    let named = heap.sites + (mapped?.entries.map(\.site) ?? [])
    losses[.unsymbolisedFrames] = UInt64(named.reduce(0) { $0 + $1.frames.count { $0.function == nil } })
    return HeapProfile(
      dripVersion: dripVersion,
      capture: CaptureInfo(
        startUnixNanoseconds: startUnixNanoseconds, seconds: snapshot.elapsedSeconds, kernel: kernelRelease,
        backend: session.capture.backend.title, ended: ended, filters: filters + view.descriptions,
        oneTrap: oneTrap.sorted(), notes: await session.allNotes() + DebugServers.notes + symbolNotes(targets)
      ),
      processes: processes.map(\.target), totals: ranking.totals, losses: losses, table: snapshot.table,
      sites: heap.sites, omittedSites: heap.omittedSites, omittedBytes: heap.omittedBytes,
      omittedCount: heap.omittedCount, mapped: mapped, hasHeap: session.domain.includesHeap, checks: checks,
      stacks: StackCounts(snapshot.sites, depth: session.capture.depth), view: summary)
  }

  /// The named stack of a site.
  func frames(of site: UInt32, process: Int) async -> [Frame] {
    let stack = await session.capture.stack(of: site)
    return stack.addresses.flatMap { symbolizers[process]?.frames(for: $0, in: epochs[site]) ?? [] }
  }

  /// What stands at an address of a process's data.
  func variable(at address: UInt64, process: Int) -> Symbolizer.Variable? {
    symbolizers[process]?.variable(at: address)
  }

  private func symbolNotes(_ targets: [Int: Target]) -> [String] {
    symbolizers.sorted { $0.key < $1.key }.flatMap { number, symbolizer in
      symbolizer.notes.map { "pid \(targets[number]?.pid ?? 0): \($0)" }
    }
  }

  private func sites(_ ranking: Ranking, _ targets: [Int: Target]) async -> [Site] {
    var result: [Site] = []
    for entry in ranking.entries { result.append(await site(entry, targets)) }
    return result
  }

  private func site(_ entry: Ranking.Entry, _ targets: [Int: Target]) async -> Site {
    let stack = await session.capture.stack(of: entry.site.id)
    let symbolizer = symbolizers[entry.site.process]
    let epoch = epochs[entry.site.id]
    let native = PythonFrames.native(stack.addresses, isPython: session.python != nil)
    var frames = native.flatMap { symbolizer?.frames(for: $0, in: epoch, change: entry.site.change) ?? [] }
    if let python = session.python?.stack(of: entry.site.id) {
      frames = PythonFrames.merge(native: frames, python: python)
    }
    return Site(
      pid: targets[entry.site.process]?.pid ?? 0, outstandingBytes: entry.outstandingBytes,
      outstandingCount: entry.outstandingCount, allocs: entry.site.allocs, frees: entry.site.frees,
      allocatedBytes: entry.site.allocatedBytes, oldestSeconds: entry.site.oldestSeconds,
      growthBytesPerSecond: entry.growthBytesPerSecond, frames: frames, stackEnd: stack.end,
      sampled: entry.site.sampled, ids: [entry.site.id])
  }
}

import Capture
import LeakDetection
import Processes
import Profile
import Symbolication

/// Turns a snapshot of a session into a named profile.
struct ProfileBuilder {
  let session: Session
  let symbolizer: Symbolizer
  let startUnixNanoseconds: Int64
  let kernelRelease: String

  init(_ session: Session) {
    self.session = session
    symbolizer = Symbolizer(pid: session.target.identity.pid)
    startUnixNanoseconds = unixNanoseconds()
    kernelRelease = SystemFacts.read().kernelRelease
    refreshMappings()
    // Files are opened now: once the target has exited there is no way to them.
    symbolizer.preload()
  }

  func refreshMappings() {
    guard let mappings = try? MemoryMap.read(pid: session.target.identity.pid), !mappings.isEmpty else {
      return
    }
    symbolizer.update(
      mappings: mappings.map {
        SymbolMapping(
          start: $0.start, end: $0.end, fileOffset: $0.fileOffset,
          executable: $0.permissions.contains(.execute),
          path: $0.path)
      })
  }

  /// `isAgeFiltered`: show the objects that passed the snapshot's age filter only.
  func profile(
    _ snapshot: Snapshot, sort: SortKey, limit: Int?, isAgeFiltered: Bool, includesIdle: Bool = false,
    growth: [UInt32: Double], filters: [String], ended: String?
  ) async -> HeapProfile {
    let ranking = Ranking(
      snapshot, by: sort, limit: limit, isAgeFiltered: isAgeFiltered, includesIdle: includesIdle,
      growth: growth)
    var losses = snapshot.losses
    var sites: [Site] = []
    for entry in ranking.entries {
      let stack = await session.capture.stack(of: entry.site.id)
      let frames = stack.addresses.flatMap { symbolizer.frames(for: $0) }
      losses[.unsymbolisedFrames] += UInt64(frames.count { $0.function == nil })
      sites.append(
        Site(
          pid: session.target.identity.pid, outstandingBytes: entry.outstandingBytes,
          outstandingCount: entry.outstandingCount, allocs: entry.site.allocs, frees: entry.site.frees,
          allocatedBytes: entry.site.allocatedBytes, oldestSeconds: entry.site.oldestSeconds,
          growthBytesPerSecond: entry.growthBytesPerSecond, frames: frames, stackEnd: stack.end))
    }
    return HeapProfile(
      dripVersion: dripVersion,
      capture: CaptureInfo(
        startUnixNanoseconds: startUnixNanoseconds, seconds: snapshot.elapsedSeconds, kernel: kernelRelease,
        backend: session.capture.backend.title, ended: ended, filters: filters),
      processes: [session.target.identity], totals: ranking.totals, losses: losses, table: snapshot.table,
      sites: sites, omittedSites: ranking.omittedSites, omittedBytes: ranking.omittedBytes,
      omittedCount: ranking.omittedCount)
  }
}

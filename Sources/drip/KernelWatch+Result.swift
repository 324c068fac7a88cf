import Capture
import LeakDetection
import Processes
import Profile

/// From a reading of the tables to what is shown of it.
extension KernelWatch {
  /// What there is to show now.
  func result(_ query: Query) async throws -> Result {
    let snapshot = try await read(olderThan: query.olderThan, isLast: true)
    var origins: [UInt32: KernelOrigin] = [:]
    for site in snapshot.sites { origins[site.id] = await capture.origin(of: site.id) }
    let rankings = rankings(snapshot, query, origins)
    let slabsNow = SlabCounts.read()
    var details: [UInt32: KernelProfile.Detail] = [:]
    var sites: [Site] = []
    for entry in rankings.flatMap(\.ranking.entries) {
      let origin = origins[entry.site.id]
      let site = site(entry, origin)
      sites.append(site)
      if let origin {
        details[entry.site.id] = detail(origin, entry.site, site.frames, slabsNow)
      }
    }
    let caches = Self.caches(slabsBefore, slabsNow, snapshot, details)
    let kmemleak = query.asksKmemleak ? askKmemleak() : nil
    let evidence = KernelEvidence(caches: caches, coverage: capture.coverage)
    var verdicts = detector.verdicts(limits: nil, reachability: [:])
    for site in sites {
      guard let id = site.ids.first, let detail = details[id] else { continue }
      let caveat = evidence.caveat(site, detail)
      details[id]?.caveat = caveat?.sentence
      details[id]?.isCorroborated = evidence.isCorroborated(detail)
      details[id]?.unreferenced = kmemleak.map { Self.unreferenced(site.frames, $0) }
      if let verdict = verdicts[id] { verdicts[id] = KernelEvidence.cap(verdict, caveat) }
    }
    let profile = await profile(query, snapshot, rankings[0].ranking, sites, details)
    let apart = rankings.dropFirst().map { ($0.domain, $0.ranking.totals) }
    return Result(
      kernel: KernelProfile(
        profile: profile, coverage: capture.coverage, details: details, caches: caches,
        apart: Dictionary(uniqueKeysWithValues: apart)),
      judged: SiteJudgements(verdicts: verdicts))
  }

  /// What is to be shown, in its order: first the domains that have one sum, then each of the others.
  private func rankings(
    _ snapshot: Snapshot, _ query: Query, _ origins: [UInt32: KernelOrigin]
  ) -> [(domain: KernelDomain, ranking: Ranking)] {
    var sites: [KernelDomain: [SiteCounts]] = [.slab: []]
    for domain in options.apart { sites[domain] = [] }
    for site in snapshot.sites {
      let domain = origins[site.id]?.domain ?? .slab
      sites[domain.isApart ? domain : .slab, default: []].append(site)
    }
    let growth = growth.growthBytesPerSecond()
    return sites.sorted { $0.key.rawValue < $1.key.rawValue }.map { domain, sites in
      let part = Snapshot(elapsedSeconds: snapshot.elapsedSeconds, sites: sites)
      return (
        domain,
        Ranking(
          part, by: query.sort, limit: nil, isAgeFiltered: query.olderThan > 0,
          includesIdle: query.includesIdle, growth: growth)
      )
    }
  }

  private func site(_ entry: Ranking.Entry, _ origin: KernelOrigin?) -> Site {
    let id = entry.site.id
    return Site(
      pid: origin?.pid ?? 0, outstandingBytes: entry.outstandingBytes,
      outstandingCount: entry.outstandingCount,
      allocs: entry.site.allocs, frees: entry.site.frees, allocatedBytes: entry.site.allocatedBytes,
      oldestSeconds: entry.site.oldestSeconds, growthBytesPerSecond: entry.growthBytesPerSecond,
      frames: frames[id] ?? [], stackEnd: frames[id] == nil ? .missing : entry.site.end, ids: [id])
  }

  /// What the kernel's own detector has found; nil where there is none. One that is there and cannot be asked is told of.
  private func askKmemleak() -> KmemleakReport? {
    do throws(KmemleakReport.Absence) {
      return try KmemleakReport.read()
    } catch {
      if error != .none { kmemleakNote = error.reason }
      return nil
    }
  }

  /// Objects of this stack that it found no pointer to.
  private static func unreferenced(_ frames: [Frame], _ report: KmemleakReport) -> Int {
    let stack = frames.map { frame in
      KmemleakReport.Frame(
        function: frame.function, module: frame.module == KernelFrame.module ? nil : frame.module,
        offset: frame.offset)
    }
    return report.unreferenced(by: stack) {
      KernelFrame.isAllocator(
        Frame(address: 0, function: $0.function, module: $0.module ?? KernelFrame.module))
    }.count
  }

  private func detail(
    _ origin: KernelOrigin, _ site: SiteCounts, _ frames: [Frame], _ slabs: SlabCounts?
  ) -> KernelProfile.Detail {
    var cache = origin.cache
    // Only the tracepoints tell what kmalloc took, and an older one of a cache tells neither that nor which cache it is.
    let isFunction = capture.coverage.backend == .kprobe || capture.coverage.backend == .fentry
    if cache == nil, origin.domain == .slab, isFunction || origin.bucketBytes > 0 {
      let bytes =
        origin.bucketBytes > 0
        ? UInt64(origin.bucketBytes) : site.allocs > 0 ? site.allocatedBytes / site.allocs : 0
      cache = KernelCacheName.kmalloc(bytes: bytes, flags: origin.flags, stack: frames) {
        slabs?[name: $0] != nil
      }
    }
    return KernelProfile.Detail(origin: origin, cache: cache, isInterrupt: KernelFrame.isInterrupt(frames))
  }

  /// The caches that drip counts something of, and those that have grown by themselves.
  private static func caches(
    _ before: SlabCounts?, _ now: SlabCounts?, _ snapshot: Snapshot, _ details: [UInt32: KernelProfile.Detail]
  ) -> [KernelProfile.Cache] {
    guard let before, let now else { return [] }
    var tracked: [String: (count: UInt64, bytes: UInt64)] = [:]
    for site in snapshot.sites {
      guard let detail = details[site.id], detail.origin.domain == .slab, let name = detail.cache,
        let cache = now[name: name]
      else { continue }
      tracked[cache.name, default: (0, 0)].count += site.outstandingCount
      tracked[cache.name, default: (0, 0)].bytes += site.outstandingBytes
    }
    return now.caches.compactMap { cache -> KernelProfile.Cache? in
      let sum = tracked[cache.name] ?? (0, 0)
      let old = before[name: cache.name]?.active ?? 0
      guard sum.count > 0 || cache.active > old else { return nil }
      return KernelProfile.Cache(
        name: cache.name, aliases: cache.aliases, objectBytes: cache.objectBytes, activeBefore: old,
        activeNow: cache.active, isReclaimable: cache.isReclaimable, trackedCount: sum.count,
        trackedBytes: sum.bytes)
    }.sorted { ($0.trackedBytes, $1.name) > ($1.trackedBytes, $0.name) }
  }

  private func profile(
    _ query: Query, _ snapshot: Snapshot, _ ranking: Ranking, _ sites: [Site],
    _ details: [UInt32: KernelProfile.Detail]
  ) async -> HeapProfile {
    var shown = ShownSites(ranking)
    let (wanted, left) = sites.divided {
      options.wants($0.frames, cache: $0.ids.first.flatMap { details[$0]?.cache })
    }
    shown.sites = wanted
    var summary = ViewSummary()
    summary.filteredSites = left.count
    summary.filteredBytes = left.reduce(0) { $0 &+ $1.outstandingBytes }
    summary.filteredCount = left.reduce(0) { $0 &+ $1.outstandingCount }
    let view = shown.apply(query.view, sort: query.sort, limit: nil)
    summary.filteredSites += view.filteredSites
    summary.filteredBytes &+= view.filteredBytes
    summary.filteredCount &+= view.filteredCount
    summary.foldedFrames = view.foldedFrames
    summary.mergedSites = view.mergedSites
    shown.cut(to: query.limit)
    var losses = snapshot.losses
    losses[.unsymbolisedFrames] = UInt64(
      shown.sites.reduce(0) { $0 + $1.frames.count { $0.function == nil } })
    return HeapProfile(
      dripVersion: dripVersion,
      capture: CaptureInfo(
        startUnixNanoseconds: startUnixNanoseconds, seconds: snapshot.elapsedSeconds,
        kernel: kernelRelease, backend: capture.coverage.backend.title, ended: query.ended,
        filters: query.filters + filters + query.view.descriptions, notes: await notes()),
      processes: processes, totals: ranking.totals, losses: losses, table: snapshot.table, sites: shown.sites,
      omittedSites: shown.omittedSites, omittedBytes: shown.omittedBytes, omittedCount: shown.omittedCount,
      stacks: StackCounts(snapshot.sites, depth: 127), view: summary)
  }

  private var filters: [String] {
    (options.cache.isEmpty ? [] : ["objects of the caches \(options.cache.joined(separator: ", "))"])
      + (options.module.isEmpty
        ? [] : ["stacks through the modules \(options.module.joined(separator: ", "))"])
  }

  private func notes() async -> [String] {
    let coverage = capture.coverage
    let unheard =
      coverage.unheardFrees.isEmpty
      ? []
      : [
        "this kernel does not tell of: \(coverage.unheardFrees.joined(separator: ", ")); objects freed so look outstanding"
      ]
    return ["heard of: \(coverage.hooks.joined(separator: ", "))"] + unheard + (await capture.notes)
      + (kmemleakNote.map { [$0] } ?? [])
  }
}

import Glibc
public import Profile

/// A stream of snapshots in, a verdict on each call site out. Pure: time is what the snapshots say it is.
///
/// Snapshots must have their `cohorts` filled; others are passed over. From two rows of one site, one poll after the
/// other, follow the deaths and the ages they were died at; a row alone has the survivors; the counters have the
/// births. Each site takes at most 1.5 KiB and constant time a poll.
///
/// When the watch is 1, 1.19, 1.41, ... minutes old (four looks for each doubling), all sites are tested and it is
/// remembered who was suspected, for one suspicion is not enough for the higher levels.
public struct Detector: Sendable {
  /// A process, and the clock that its allocations are.
  private struct ProcessClock: Sendable {
    /// Since when it is watched, in seconds after the attach.
    var origin: Double
    /// Allocations by time.
    var load = Array(repeating: 0.0, count: BirthCohorts.binCount)
    var poll: UInt64 = 0
  }

  /// What the levels ask for.
  public var policy: VerdictPolicy

  private var history = SiteHistory()
  private var clocks: [Int: ProcessClock] = [:]
  private var width = 0.0
  private var poll: UInt64 = 0
  private var nextLook = 0
  /// Gaps between polls, ever shorter ones, by their ends: at most 16 are longer than a sixteenth of the watch.
  private var gaps: [(end: Double, length: Double)] = []

  /// Seconds since the attach, at the last snapshot.
  public private(set) var now = 0.0

  /// A detector that has seen nothing.
  public init(policy: VerdictPolicy = VerdictPolicy()) { self.policy = policy }

  /// Memory that a site takes, in bytes, at most.
  public static var bytesPerSite: Int { SiteHistory.bytesPerSite }

  /// The age of the watch at a look, in seconds.
  static func time(ofLook look: Int) -> Double { 60 * exp2(Double(look) / 4) }

  /// Whether a snapshot with cohorts is of use now, `elapsed` seconds after the attach: ages are told to a small share
  /// of the watch, so the older it is the rarer it needs to be looked at. At first every second, at an hour every
  /// quarter of a minute. Snapshots that come more often do no harm.
  public func isDue(_ elapsed: Double) -> Bool { elapsed - now >= min(max(elapsed / 256, 0.9), 60) }

  /// Adds a snapshot. One that has no cohorts, or is not later than the last, is left out.
  public mutating func add(_ snapshot: Snapshot) {
    let time = snapshot.elapsedSeconds
    guard let cohorts = snapshot.cohorts, time.isFinite, time > now, cohorts.width > 0 else { return }
    adapt(to: cohorts.width)
    let previous = now
    now = time
    poll += 1
    let (gap, shortest) = (time - previous, shortestGap)
    gaps.removeAll { $0.length <= max(gap, shortest) }
    if gap > shortest { gaps.append((time, gap)) }
    for counts in snapshot.sites { add(counts, cohorts, previous) }
    history.forget(notSeenAt: poll)
    clocks = clocks.filter { $0.value.poll == poll }
    look()
  }

  /// Objects that were born and died in a gap are not known of. That does not matter where it is shorter than the ages
  /// that count, which rise with the watch.
  private var shortestGap: Double { max(now / 16, 10) }

  /// What was before the last gap is not judged.
  private var observedSince: Double { gaps.last?.end ?? 0 }

  /// Bins as wide as the snapshot's. Widths only double; with any other the past cannot be compared.
  private mutating func adapt(to newWidth: Double) {
    guard width > 0 else {
      width = newWidth
      return
    }
    while width < newWidth {
      width *= 2
      history.doubleWidth()
      for process in clocks.keys {
        guard var clock = clocks[process] else { continue }
        for bin in 0..<BirthCohorts.binCount {
          let isKept = bin < BirthCohorts.binCount / 2
          clock.load[bin] = isKept ? clock.load[2 * bin] + clock.load[2 * bin + 1] : 0
        }
        clocks[process] = clock
      }
    }
    guard width != newWidth else { return }
    self = Detector(policy: policy)
    width = newWidth
  }

  private mutating func add(_ counts: SiteCounts, _ cohorts: BirthCohorts, _ previous: Double) {
    var site: SiteHistory.Site
    if let known = history[counts.id], known.process == counts.process, known.allocs <= counts.allocs {
      site = known
    } else {
      history.forget(counts.id)
      site = SiteHistory.Site(id: counts.id, process: counts.process, start: previous)
    }
    let row = cohorts.row(of: counts.id)
    let born = Double(counts.allocs - site.allocs)
    site.allocs = counts.allocs
    site.frees = counts.frees
    site.outstandingBytes = counts.outstandingBytes
    site.outstandingCount = counts.outstandingCount
    if let sampled = counts.sampled, sampled.objects > 0 {
      site.weight = max(Double(counts.outstandingCount) / Double(sampled.objects), 1)
    }
    site.poll = poll
    if let place = site.place {
      history.addBirths(born, place: place, from: previous / width, to: now / width)
    } else if row != nil {
      let place = history.makePlace()
      site.place = place
      // Of what went before only the sum is known.
      history.addBirths(
        Double(counts.allocs), place: place, from: site.start / width, to: now / width)
    }
    let middle = (previous + now) / 2
    let width = width
    history.update(&site, row: row, closed: Int(previous / width)) {
      max(middle - (Double($0) + 0.5) * width, 0)
    }
    if let place = site.place {
      history.setLevel(
        counts.outstandingBytes, place: place, bin: min(Int(now / width), BirthCohorts.binCount - 1))
    }
    history[counts.id] = site
    note(born, of: counts.process, previous)
  }

  private mutating func note(_ born: Double, of process: Int, _ previous: Double) {
    clocks[process, default: ProcessClock(origin: previous)].poll = poll
    guard born > 0 else { return }
    Spread.add(born, from: previous / width, to: now / width) { clocks[process]?.load[$0] += $1 }
  }

  /// If it is time to, tests all sites and remembers who was suspected.
  private mutating func look() {
    var passed = 0
    while now >= Self.time(ofLook: nextLook) {
      passed += 1
      nextLook += 1
    }
    guard passed > 0 else { return }
    let (tests, level) = tests()
    for (id, var site) in history.sites {
      site.suspected = passed < 32 ? site.suspected << UInt32(passed) : 0
      site.matured = passed < 32 ? site.matured << UInt32(passed) : 0
      site.freed = passed < 32 ? site.freed << UInt32(passed) : 0
      if site.frees > 0 { site.freed |= 1 }
      if let test = tests[id], test.isSuspicious(level) { site.suspected |= 1 }
      if maturedDeaths(site) >= policy.maturedDeaths { site.matured |= 1 }
      history[id] = site
    }
  }

  /// Deaths at a thirty-second part of the time that the site has been watched, or later.
  private func maturedDeaths(_ site: SiteHistory.Site) -> Double {
    guard let place = site.place else { return 0 }
    let ages = history.deaths[SiteHistory.deathRange(place)]
    return DeathAges.deaths(in: ages, from: (now - origin(of: site)) / 32)
  }

  /// Since when a site is watched.
  private func origin(of site: SiteHistory.Site) -> Double {
    max(site.start, clocks[site.process]?.origin ?? 0, observedSince)
  }

  /// The tests of all sites that have something outstanding, and the probability up to which they are believed.
  private func tests() -> ([UInt32: SurvivalTest], Double) {
    var result: [UInt32: SurvivalTest] = [:]
    for (id, site) in history.sites {
      guard let place = site.place, site.outstandingCount > 0, let clock = clocks[site.process] else {
        continue
      }
      let ages = history.deaths[SiteHistory.deathRange(place)]
      result[id] = SurvivalTest.run(cohorts(of: site, place, clock)) {
        DeathAges.deaths(in: ages, from: $0)
      }
    }
    let candidates = result.values.filter { $0.outcome == .open }.map(\.probability)
    return (
      result, FalseDiscovery.level(candidates, rate: policy.falseDiscoveryRate, cap: policy.probabilityCap)
    )
  }

  private func cohorts(of site: SiteHistory.Site, _ place: Int, _ clock: ProcessClock) -> SiteCohorts {
    let bins = SiteHistory.range(place)
    return SiteCohorts(
      objects: history.objects[bins], births: history.births[bins], weight: site.weight,
      load: clock.load[...],
      width: width, origin: origin(of: site), now: now)
  }

  /// A verdict on each site of the last snapshot. Costs some microseconds a site.
  ///
  /// `limits` are for the outlook. `reachability` has what a scan of the target's memory found about the objects of a
  /// site. Growth of less than `floor` bytes per second is a trifle (4 KiB an hour unless told otherwise).
  public func verdicts(
    limits: MemoryLimits? = nil, reachability: [UInt32: Reachability] = [:],
    floor: Double = VerdictPolicy.floorBytesPerSecond
  ) -> [UInt32: Verdict] {
    let (tests, level) = tests()
    var result: [UInt32: Verdict] = [:]
    result.reserveCapacity(history.sites.count)
    for (id, site) in history.sites {
      let evidence = evidence(
        site, tests[id] ?? SurvivalTest(), level, reachability[id], limits?.nearest, floor)
      result[id] = Verdict(level: policy.level(evidence), evidence: evidence)
    }
    return result
  }

  private func evidence(
    _ site: SiteHistory.Site, _ test: SurvivalTest, _ level: Double, _ reachability: Reachability?,
    _ limit: MemoryLimit?, _ floor: Double
  ) -> Evidence {
    let origin = origin(of: site)
    var evidence = Evidence(watchedSeconds: now - origin, test: test)
    evidence.isSuspected = test.isSuspicious(level)
    evidence.reachability = reachability
    evidence.freed = site.frees
    evidence.floorBytesPerSecond = floor
    evidence.wasSuspected = SuspicionHistory(
      suspected: site.suspected, matured: site.matured, freed: site.freed)
    evidence.outstandingBytes = site.outstandingBytes
    evidence.outstandingCount = site.outstandingCount
    guard let place = site.place else { return evidence }
    let start = place * SiteHistory.bins
    let current = min(Int(now / width), SiteHistory.bins - 1)
    let first = min(max(Int(origin / width), 0), current)
    evidence.intervals = Intervals(history.levels[(start + first)...(start + current)])
    evidence.intervals.seconds = width
    guard test.survivors > 0 else { return evidence }
    let (low, high) = (Int((test.from / width).rounded()), Int((test.to / width).rounded()))
    let middle = (low + high) / 2
    evidence.growth = Growth(history.bytes[(start + middle)..<(start + high)], width: width)
    let old = start + first..<max(start + high, start + first)
    let births = old.reduce(0) { $0 + Double(history.births[$1]) }
    let left = old.reduce(0) { $0 + Double(history.objects[$1]) } * site.weight
    if births >= 1 { evidence.keptShare = min(left / births, 1) }
    if let limit, let growth = evidence.growth { evidence.outlook = Outlook(limit: limit, growth: growth) }
    return evidence
  }
}

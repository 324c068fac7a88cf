import Glibc

/// What one call site's survivors and deaths are tested on. Lists have an element a birth bin, oldest first.
struct SiteCohorts {
  /// Outstanding objects by birth; with sampling those in the sample.
  var objects: ArraySlice<UInt32>
  /// Allocations by birth, in whole objects.
  var births: ArraySlice<Float>
  /// Objects that one of `objects` stands for on average; 1 without sampling.
  var weight: Double
  /// Allocations of the whole process: the operational clock.
  var load: ArraySlice<Double>
  /// Seconds that a bin spans.
  var width: Double
  /// Since when the site is watched, and now, in seconds after the attach.
  var origin: Double
  var now: Double
}

/// The survival test of one call site at one moment.
///
/// Of the objects born in a window [T - W, T - a] some are still there (survivors, O). D objects died after they had
/// reached the age a. A leak's survivors do not die, and go on being born. The test asks, with
/// n groups of survivors that are independent of each other, how likely it is that half or more of those that reach
/// the age a die later; and three gates ask whether survivors keep coming up to now. The formulas were derived for drip;
/// a Beta posterior with Jeffreys' prior is textbook (e.g. Brown, Cai, DasGupta, "Interval estimation for a binomial
/// proportion", Statistical Science 16, 2001).
///
/// Survivors are counted in several clocks: wall time, the process's allocations, and those of the site itself where
/// survivors are a small part of them. Each gate believes the clock in which they come most evenly: a leak of a busy
/// hour is not over when the hour is, for it leaks as ever per request.
struct SurvivalTest: Sendable, Hashable {
  /// Why a site is not suspected.
  enum Outcome: Sendable, Hashable {
    /// It passed every gate; `probability` says how sure that is.
    case open
    /// Fewer than `leastSurvivors`.
    case fewSurvivors
    /// What gets old is freed after all.
    case dies
    /// New survivors are rarer than the earlier ones.
    case slows
    /// No new survivors for a while.
    case stopped
    /// Until lately all was freed, and since then nothing is: somebody has stopped to clear up, perhaps for now only.
    case stalled
  }

  var outcome = Outcome.fewSurvivors
  /// What it would be if nothing had died: whether survivors keep coming.
  var arrival = Outcome.fewSurvivors
  /// The probability that half or more of what reaches the age is freed later, times the number of windows that
  /// were looked at; 1 unless the outcome is `open`.
  var probability = 1.0
  /// Share of the watch that the window spans.
  var share = 1.0
  /// Seconds: the age a, and the window's ends.
  var age = 0.0
  var from = 0.0
  var to = 0.0
  var survivors = 0
  var deaths = 0.0
  /// Survivors come in clusters: so many of them are independent.
  var groups = 0.0
  /// Birth of the twentieth part of the survivors, in seconds: how long the evidence goes back.
  var since = 0.0

  /// Share of those which reached the age that were freed later.
  var deathShare: Double { (deaths + 0.5) / (deaths + Double(survivors) + 1) }

  static let leastSurvivors = 5
  /// More of what gets old than this being freed is no leak, or one that needs other proof.
  static let mostDeathShare = 0.10
  /// The share that the probability is about.
  static let nullDeathShare = 0.5
  /// Late survivors must be born at this share of the pace of early ones, or more.
  static let pace = 0.5
  static let paceLevel = 0.5
  static let gapLevel = 0.01
  /// Windows shorter than the watch speak only if at least so long, in seconds, and only of sites whose survivors have
  /// become more frequent.
  static let shortestWindow = 600.0
  static let lateShare = 0.6
  static let leastAge = 5.0
  /// A site's own allocations are a clock if no more of them survive: of a cache that gets full all do, and that fewer
  /// and fewer are made is what tells it from a leak.
  static let mostOwnShare = 0.3
  static let blocks = 16

  static let windows: [(share: Double, age: Double)] = [
    (1, 1 / 8.0), (1, 1 / 4.0), (1, 1 / 2.0), (0.5, 1 / 8.0), (0.25, 1 / 8.0),
  ]

  /// Tests all windows and gives the one that suspects most; if none does, the longest one that knows why not.
  static func run(_ site: SiteCohorts, deaths: (Double) -> Double) -> SurvivalTest {
    var best = SurvivalTest()
    var hasBecomeMore = false
    var keepsComing = false
    var tested = 0
    for (index, window) in windows.enumerated() {
      if window.share < 1, !hasBecomeMore { break }
      var bins = WindowBins(site, share: window.share, age: window.age)
      guard let found = bins.test(deaths: deaths) else { continue }
      if index == 0 { hasBecomeMore = bins.lateShare >= lateShare }
      // A shorter window sees a part of the stall, and less of what was before it.
      if index == 0, found.outcome == .stalled { return found }
      // Windows of older objects tell who dies late, but not what has come since.
      if index == 0 {
        keepsComing = found.arrival == .open
      } else if window.share == 1, !keepsComing {
        continue
      }
      if window.share < 1, found.to - found.from + found.age < shortestWindow { continue }
      tested += 1
      if index == 0 || found.outcome == .open && found.probability < best.probability { best = found }
    }
    if best.outcome == .open { best.probability = min(1, best.probability * Double(tested)) }
    return best
  }
}

/// The bins of one window, and what they sum up to.
private struct WindowBins {
  let site: SiteCohorts
  let share: Double
  let age: Double
  /// Bins of the window, by number.
  let first: Int
  let last: Int
  private var total = 0
  private var occupied = 0
  private var newest: Int?
  private(set) var lateShare = 0.0

  init(_ site: SiteCohorts, share: Double, age: Double) {
    self.site = site
    self.share = share
    let length = (site.now - site.origin) * share
    self.age = max(length * age, SurvivalTest.leastAge)
    first = max(Int(((site.now - length) / site.width).rounded()), 0)
    last = min(Int(((site.now - self.age) / site.width).rounded()), site.objects.count)
  }

  /// What survivors are counted against.
  private enum Clock {
    case wall
    case load
    case own

    static let two: [Clock] = [.wall, .load]
    static let three: [Clock] = [.wall, .load, .own]
  }

  private var clocks: [Clock] {
    let own = births(first..<last)
    return own > 0 && Double(total) * site.weight <= SurvivalTest.mostOwnShare * own ? Clock.three : Clock.two
  }

  /// By how much a clock goes on in a stretch of bins.
  private func exposure(_ clock: Clock, _ range: Range<Int>) -> Double {
    var sum = 0.0
    switch clock {
    case .wall: return Double(range.count)
    case .load: for bin in range { sum += site.load[site.load.startIndex &+ bin] }
    case .own: return births(range)
    }
    return sum
  }

  private func objects(_ bin: Int) -> Int { Int(site.objects[site.objects.startIndex &+ bin]) }
  private func objects(_ range: Range<Int>) -> Int {
    var sum = 0
    for bin in range { sum &+= objects(bin) }
    return sum
  }
  private func births(_ range: Range<Int>) -> Double {
    var sum = 0.0
    for bin in range { sum += Double(site.births[site.births.startIndex &+ bin]) }
    return sum
  }

  /// Nil if the window has too few bins to say anything.
  mutating func test(deaths: (Double) -> Double) -> SurvivalTest? {
    guard last - first >= 4 else { return nil }
    for bin in first..<last where objects(bin) > 0 {
      total += objects(bin)
      occupied += 1
      newest = bin
    }
    var result = SurvivalTest()
    result.share = share
    result.age = age
    result.from = Double(first) * site.width
    result.to = Double(last) * site.width
    result.survivors = total
    result.deaths = deaths(age)
    guard let newest, total >= SurvivalTest.leastSurvivors else { return result }
    let onset = onset()
    result.since = Double(onset) * site.width
    let clocks = clocks
    let clustering = max(1, clocks.map(dispersion).min() ?? 1)
    result.groups = min(Double(total) / clustering, Double(occupied))
    let halves = clocks.compactMap(halves)
    lateShare = halves.map(\.lateShare).min() ?? 1
    result.arrival = arrival(result, clocks, halves, newest: newest, onset: onset)
    result.outcome = result.deathShare > SurvivalTest.mostDeathShare ? .dies : result.arrival
    guard result.outcome == .open else { return result }
    let dead = result.deaths * result.groups / Double(total)
    result.probability = IncompleteBeta.complement(
      SurvivalTest.nullDeathShare, dead + 0.5, result.groups + 0.5)
    return result
  }

  private func arrival(
    _ result: SurvivalTest, _ clocks: [Clock], _ halves: [Halves], newest: Int, onset: Int
  ) -> SurvivalTest.Outcome {
    let silence = clocks.reduce(1) { min($0, gap(after: newest, $1)) }
    if power(1 - silence, max(result.groups, 1)) < SurvivalTest.gapLevel { return .stopped }
    let scale = result.groups / Double(total)
    guard halves.isEmpty || halves.contains(where: { $0.keepsPace(scale) }) else { return .slows }
    return isStalled(onset) ? .stalled : .open
  }

  /// Survivors of both halves of the window, and how far a clock went on in them.
  private struct Halves {
    var early: Double
    var late: Double
    var earlyLoad: Double
    var lateLoad: Double

    /// The late half's part of both rates.
    var lateShare: Double {
      let (earlyRate, lateRate) = ((early + 0.5) / earlyLoad, (late + 0.5) / lateLoad)
      return lateRate / (earlyRate + lateRate)
    }

    /// Whether it may well be that the late half's pace is not less than `SurvivalTest.pace` of the early half's.
    /// `scale` makes groups of survivors.
    func keepsPace(_ scale: Double) -> Bool {
      // No need to integrate where the late half is the busier one.
      if lateShare >= 0.5 { return true }
      let threshold = SurvivalTest.pace * lateLoad / (earlyLoad + SurvivalTest.pace * lateLoad)
      let slower = IncompleteBeta.regularised(threshold, late * scale + 0.5, early * scale + 0.5)
      return slower <= SurvivalTest.paceLevel
    }
  }

  private func halves(_ clock: Clock) -> Halves? {
    let middle = (first + last) / 2
    let early = objects(first..<middle)
    let halves = Halves(
      early: Double(early), late: Double(total - early), earlyLoad: exposure(clock, first..<middle),
      lateLoad: exposure(clock, middle..<last))
    return halves.earlyLoad > 0 && halves.lateLoad > 0 ? halves : nil
  }

  /// Variance over mean of the survivors per block of bins, against what each block's exposure to a clock lets
  /// expect (Pearson's statistic over its degrees of freedom). 1 where each object is born by itself.
  private func dispersion(_ clock: Clock) -> Double {
    let size = max((last - first) / SurvivalTest.blocks, 1)
    let all = exposure(clock, first..<last)
    guard all > 0 else { return .infinity }
    var statistic = 0.0
    var count = 0
    // From the end on; the first block may be shorter.
    var end = last
    while end > first {
      let start = max(end - size, first)
      let seen = Double(objects(start..<end))
      // A block without load cannot have survivors, but load is known by polls and births to a millisecond.
      let expected = max(Double(total) * exposure(clock, start..<end) / all, 0.1)
      statistic += (seen - expected) * (seen - expected) / expected
      count += 1
      end = start
    }
    return count > 1 ? statistic / Double(count - 1) : .infinity
  }

  /// Share of a clock that has passed since the newest survivor.
  private func gap(after newest: Int, _ clock: Clock) -> Double {
    let all = exposure(clock, first..<last)
    return all > 0 ? exposure(clock, (newest + 1)..<last) / all : 1
  }

  /// The bin by which a twentieth of the survivors was born.
  private func onset() -> Int {
    var seen = 0
    for bin in first..<last {
      seen += objects(bin)
      if seen * 20 >= total { return bin }
    }
    return first
  }

  /// At least 20 births before the survivors set in, hardly any of which is left, and most of the later ones. Only while
  /// that is younger than half of the watch: after that it is what the site does.
  private func isStalled(_ onset: Int) -> Bool {
    let start = max(Int(site.origin / site.width), 0)
    guard onset > (start + last) / 2 else { return false }
    let before = births(start..<onset)
    let inside = births(onset..<last)
    guard before >= 20, inside > 0 else { return false }
    let left = objects(start..<onset)
    let survival = Double(objects(onset..<last)) * site.weight / inside
    return survival > 0.5 && Double(left) * site.weight / before < 0.1 * survival
  }

  private func power(_ base: Double, _ exponent: Double) -> Double {
    base <= 0 ? 0 : pow(base, exponent)
  }
}

/// What drip thinks of a call site, and why.
public struct Verdict: Sendable, Hashable {
  /// From harmless to sure.
  public enum Level: String, Sendable, Hashable, CaseIterable, Comparable {
    /// It does not grow.
    case steady
    /// It grows and shrinks, or has ceased to grow.
    case bounded
    /// Too early to say.
    case warmingUp = "warming up"
    /// It grows, and could as well be a cache that is not full yet.
    case watch
    /// It grows, and has for so long that few things but leaks do.
    case likely
    /// Objects are proved to be lost, or a long watch leaves little doubt.
    case leak

    public static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }

    private var rank: Int {
      switch self {
      case .steady: 0
      case .bounded: 1
      case .warmingUp: 2
      case .watch: 3
      case .likely: 4
      case .leak: 5
      }
    }
  }

  public var level: Level
  public var evidence: Evidence

  public init(level: Level, evidence: Evidence) {
    self.level = level
    self.evidence = evidence
  }

  /// What verdicts are ordered by, the gravest first: the level, then the least rate that the evidence leaves open.
  public static func isGraver(_ a: Verdict, _ b: Verdict) -> Bool {
    if a.level != b.level { return a.level > b.level }
    let (x, y) = (a.evidence.growth, b.evidence.growth)
    let (low, other) = (x?.interval.lowerBound ?? 0, y?.interval.lowerBound ?? 0)
    if low != other { return low > other }
    return (x?.bytesPerSecond ?? 0) > (y?.bytesPerSecond ?? 0)
  }
}

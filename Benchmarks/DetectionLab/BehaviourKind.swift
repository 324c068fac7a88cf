/// Every class of behaviour that services are mixed of, with what is true of it.
public enum BehaviourKind: String, Sendable, CaseIterable {
  // Leaks of the development set.
  case steadyLeak = "steady leak"
  case onePercent = "1 % of a busy site"
  case oneInThousand = "0.1 % of a busy site"
  case rare = "one object in 30 s"
  case bursts = "bursts"
  case lateOnset = "late onset"
  case accelerating
  case largeAmongChurn = "large objects among churn"
  case sessionLeak = "leaking sessions"
  case unboundedCache = "unbounded cache"
  case threadLeak = "data of each thread"
  // Leaks that only the held-out sets have.
  case errorPath = "error path in episodes"
  case reconnect = "a few at each reconnect"
  case bigSlow = "1 MiB in 100 s"
  case reloadLeak = "old configuration at reload"
  case heavySessionLeak = "2 % of heavy-tailed sessions"
  case cycleLeak = "1 % under a load cycle"

  // Innocents of the development set.
  case churn
  case slowChurn = "slow churn"
  case startUp = "start-up"
  case step
  case warmUp = "warm-up, saturating"
  case loadCycle = "load cycle"
  case lru = "LRU cache"
  case randomEviction = "random-evicting cache"
  case ttl = "TTL cache"
  case zipfFill = "Zipf cache fill"
  case backlog = "backlog that drains"
  case queue
  case vector = "growing vectors"
  case vectorReborn = "growing vectors, reborn by realloc"
  case logNormalSessions = "log-normal sessions"
  case paretoSessions = "Pareto sessions"
  case threadCaches = "thread caches"
  case batch = "periodic batch free"
  case arena = "arena doubling"
  case memtable = "memtable flush"
  case reload
  case highWater = "high-water pool"
  case generations = "two-level GC"
  // Innocents that only the held-out sets have.
  case weibullSessions = "Weibull sessions"
  case reclaim = "reclaim under pressure"
  case adoption = "sigmoid adoption"
  case sampledLRU = "LRU of Zipf keys"
  case jobs
  case sharedStack = "cache behind a shared stack"
  case leases

  public var isLeak: Bool {
    switch self {
    case .steadyLeak, .onePercent, .oneInThousand, .rare, .bursts, .lateOnset, .accelerating,
      .largeAmongChurn,
      .sessionLeak, .unboundedCache, .threadLeak, .errorPath, .reconnect, .bigSlow, .reloadLeak,
      .heavySessionLeak, .cycleLeak:
      true
    default: false
    }
  }

  /// Whether nothing may have been tuned on it.
  public var isHeldOut: Bool {
    switch self {
    case .errorPath, .reconnect, .bigSlow, .reloadLeak, .heavySessionLeak, .cycleLeak, .weibullSessions,
      .reclaim,
      .adoption,
      .sampledLRU, .jobs, .sharedStack, .leases:
      true
    default: false
    }
  }

  /// Whether it leaks at a rate that is constant at constant load, so that there is one true rate to estimate.
  public var hasConstantRate: Bool {
    switch self {
    case .steadyLeak, .onePercent, .oneInThousand, .rare, .largeAmongChurn, .sessionLeak, .threadLeak,
      .reconnect,
      .bigSlow, .heavySessionLeak:
      true
    default: false
    }
  }

  /// The plain ones, of which most of every service consists.
  public static let plain: [BehaviourKind] = [.churn, .slowChurn, .startUp]

  static let nasty = allCases.filter { !$0.isLeak && !plain.contains($0) }
  static let leaks = allCases.filter(\.isLeak)

  /// One of a list, by lot, that the set of parameters may use.
  static func draw(
    _ kinds: [BehaviourKind], _ parameters: ParameterSet, _ random: inout RandomSource
  ) -> BehaviourKind {
    let allowed = parameters.isHeldOut ? kinds : kinds.filter { !$0.isHeldOut }
    return allowed[random.below(allowed.count)]
  }
}

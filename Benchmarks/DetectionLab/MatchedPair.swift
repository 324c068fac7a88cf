public import Profile

/// Two sites with the same trace up to a time, after which one goes on as an innocent and the other as a leak.
public struct MatchedPair: Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    case lru = "LRU cache"
    case randomEviction = "random-evicting cache"
    case batch = "periodic batch free"
    case step = "start-up that ends"
  }

  public let kind: Kind
  /// Seconds after the attach at which the traces part.
  public let parting: Double
  public let innocent: Service
  public let leak: Service

  public init(seed: UInt64, kind: Kind, parting: Double, sampling: ByteSampling = .everything) {
    var random = RandomSource(seed: seed)
    self.kind = kind
    let size = Int(random.spread(32, 2048))
    let rate = random.spread(0.5, 8)
    let load = LoadShape(.development, &random)
    let (behaviour, load2) = (random.next(), random.next())
    func service(_ drawn: any Behaviour, _ name: BehaviourKind) -> Service {
      let site = LabSite(
        id: 0, kind: name, drawn: DrawnBehaviour(behaviour: drawn, holding: parting),
        random: RandomSource(seed: behaviour), sampling: sampling)
      return Service(sites: [site], load: load, seed: load2)
    }
    switch kind {
    case .lru, .randomEviction:
      let order: EvictingCache.Order = kind == .lru ? .oldest : .any
      innocent = service(
        EvictingCache(rate: rate, fullAt: parting, size: size, order: order, seed: seed), .lru)
      leak = service(
        EvictingCache(rate: rate, fullAt: parting, size: size, order: .never, seed: seed), .steadyLeak)
    case .batch:
      innocent = service(Batch(rate: rate, size: size, rule: .every(parting), seed: seed), .batch)
      leak = service(Batch(rate: rate, size: size, rule: .never, seed: seed), .steadyLeak)
    case .step:
      innocent = service(Ending(rate: rate, size: size, end: parting), .step)
      leak = service(Ending(rate: rate, size: size, end: .infinity), .steadyLeak)
    }
    self.parting = parting
  }
}

/// Allocates and keeps, until it stops.
struct Ending: Behaviour {
  let rate: Double
  let size: Int
  let end: Double

  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource) {
    let count = moment.arrivals(rate, &random)
    guard moment.seconds < end else { return }
    ledger.lose(size: size, count: count, &random)
  }
}

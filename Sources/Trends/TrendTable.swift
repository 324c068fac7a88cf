/// The trends of all processes. Its memory is bounded by `capacity` processes of some 700 bytes; what finds no room is
/// counted.
public struct TrendTable<Identity: Hashable & Sendable>: Sendable {
  public let rule: Rule
  public let capacity: Int
  private var trends: [Identity: Trend] = [:]
  /// Samples of processes that found no room.
  public private(set) var refused: UInt64 = 0

  public init(rule: Rule = Rule(), capacity: Int = 16_384) {
    self.rule = rule
    self.capacity = capacity
  }

  public var count: Int { trends.count }

  /// Adds a sample of a process; what is to be told of it.
  public mutating func add(_ identity: Identity, seconds: Double, bytes: UInt64) -> Trend.Event? {
    if trends[identity] == nil {
      guard trends.count < capacity else {
        refused += 1
        return nil
      }
      trends[identity] = Trend(seconds: seconds)
    }
    return trends[identity]?.add(seconds: seconds, bytes: bytes, rule)
  }

  /// A process is gone: its growth until then, if it grew.
  public mutating func remove(_ identity: Identity) -> Growth? {
    trends.removeValue(forKey: identity)?.growth
  }

  public func growth(of identity: Identity) -> Growth? { trends[identity]?.growth }

  /// All that grow now.
  public var growing: [(identity: Identity, growth: Growth)] {
    trends.compactMap { identity, trend in trend.growth.map { (identity, $0) } }
  }
}

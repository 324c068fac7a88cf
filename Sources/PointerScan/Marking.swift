/// Which objects can be reached, from what a search has found. Everything that may be a way counts as one.
public struct Marking: Sendable {
  /// What has become of an object's reachability.
  public enum Fate: Sendable, Hashable {
    /// Nothing at all points to it but itself.
    case unreachable
    /// Only objects point to it to which in turn nothing leads: it is part of a lost whole, or of a ring. The number is
    /// that of one of them.
    case onlyFromLost(Int)
    case reachable(Holder)
  }

  /// One of those who hold an object.
  public struct Holder: Sendable, Hashable {
    /// The object, by number, that points to it; nil if `source` does directly.
    public var object: Int?
    /// Where the way to it begins.
    public var source: PointerSource
    /// Where that stands: an address, or what the caller of the search gave. Of the object's own pointer if there is
    /// no object between.
    public var place: UInt64
  }

  private let index: ObjectIndex
  /// By object: 0 if it was not reached; 1 + the number of the object that it was reached from; or `isRoot`.
  private var parents: [UInt32]
  private static let isRoot = UInt32.max
  /// By object that was reached: the source, and the object at which the way begins.
  private var sources: [UInt8]
  private var origins: [UInt32]
  private let rootPlaces: [UInt64]
  /// By object that was not reached: 1 + the number of one that points to it.
  private var lostHolders: [UInt32]

  /// `gone`: objects that were freed or replaced while the search ran. Their memory may be anybody's, so what it points
  /// to counts as reachable. `suspects`: where only these are asked for, all other objects count as reachable; nil: no
  /// object does without a way to it. Numbers are those of the search's index. `isNewer`: whether at an address there is
  /// an object that has come since the index was made: what it points to is held by an object.
  public init(
    _ found: PointerSearch, gone: [Int] = [], suspects: Set<Int>? = nil,
    isNewer: (UInt64) -> Bool = { _ in false }
  ) {
    var search = found
    search.resolve()
    index = search.index
    rootPlaces = Self.places(search, isNewer)
    let count = index.objects.count
    parents = Array(repeating: 0, count: count)
    sources = Array(repeating: 0, count: count)
    origins = Array(repeating: 0, count: count)
    lostHolders = Array(repeating: 0, count: count)

    // The edges of one object next to each other: a sort by counting.
    var first = [UInt32](repeating: 0, count: count + 1)
    for edge in search.edges { first[Int(edge >> 32) + 1] += 1 }
    for number in 0..<count { first[number + 1] += first[number] }
    var next = first
    var targets = [UInt32](repeating: 0, count: search.edges.count)
    for edge in search.edges {
      let from = Int(edge >> 32)
      targets[Int(next[from])] = UInt32(truncatingIfNeeded: edge)
      next[from] += 1
    }

    // One kind of source after the other, each with all that it leads to: of several ways the most telling is kept.
    var extra: [PointerSource: [Int]] = [.unknownHeap: gone]
    extra[.object] = (0..<count).filter {
      search.roots[$0] == PointerSource.unknownHeap.rawValue && isNewer(rootPlaces[$0])
    }
    if let suspects {
      let goneOnes = Set(gone)
      extra[.object, default: []] += (0..<count).filter { !suspects.contains($0) && !goneOnes.contains($0) }
    }
    var queue: [UInt32] = []
    for source in PointerSource.allCases {
      queue.removeAll(keepingCapacity: true)
      func begin(_ number: Int) {
        guard parents[number] == 0 else { return }
        parents[number] = Self.isRoot
        sources[number] = source.rawValue
        origins[number] = UInt32(number)
        queue.append(UInt32(number))
      }
      for number in 0..<count where search.roots[number] == source.rawValue { begin(number) }
      for number in extra[source] ?? [] { begin(number) }
      var position = 0
      while position < queue.count {
        let from = Int(queue[position])
        position += 1
        for target in targets[Int(first[from])..<Int(first[from + 1])] where parents[Int(target)] == 0 {
          parents[Int(target)] = UInt32(from) + 1
          sources[Int(target)] = source.rawValue
          origins[Int(target)] = origins[from]
          queue.append(target)
        }
      }
    }
    for edge in search.edges {
      let to = Int(edge & 0xffff_ffff)
      if parents[to] == 0 { lostHolders[to] = UInt32(edge >> 32) + 1 }
    }
  }

  /// Where the pointers stand at which the ways begin. What was left over in free memory may point to an object, too,
  /// and come first in the order of the addresses: an object that has come since is preferred.
  private static func places(_ search: PointerSearch, _ isNewer: (UInt64) -> Bool) -> [UInt64] {
    var result = search.rootPlaces
    for (number, place) in search.furtherPlaces
    where search.roots[Int(number)] == PointerSource.unknownHeap.rawValue {
      if !isNewer(result[Int(number)]), isNewer(place) { result[Int(number)] = place }
    }
    return result
  }

  /// The fate of an object by its number.
  public func fate(of number: Int) -> Fate {
    switch parents[number] {
    case 0:
      return lostHolders[number] == 0 ? .unreachable : .onlyFromLost(Int(lostHolders[number]) - 1)
    case Self.isRoot:
      return .reachable(Holder(object: nil, source: source(number), place: rootPlaces[number]))
    default:
      return .reachable(
        Holder(
          object: Int(parents[number]) - 1, source: source(number),
          place: rootPlaces[Int(origins[number])]))
    }
  }

  private func source(_ number: Int) -> PointerSource {
    PointerSource(rawValue: sources[number]) ?? .unknownHeap
  }
}

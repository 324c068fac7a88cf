/// What a process has mapped, and had mapped before: stacks that were taken earlier point into libraries that are gone,
/// and something else may lie in their place by now.
///
/// Time is counted in epochs: each change of the map begins one.
struct MappingHistory {
  struct Entry {
    let mapping: SymbolMapping
    /// The epoch in which it was first seen, and the first one without it.
    let born: Int
    var died = Int.max
  }

  /// Sorted by address and free of overlaps.
  private(set) var current: [Entry] = []
  /// In the order in which they went.
  private var former: [Entry] = []
  private(set) var epoch = 0

  /// More mappings than this that are gone from the target are forgotten.
  private static let maximumFormer = 8192

  /// All mappings that an address may be found in.
  var mappings: Set<SymbolMapping> { Set((current + former).map(\.mapping)) }

  /// Takes over the present map.
  mutating func update(_ mappings: [SymbolMapping]) {
    var present: [SymbolMapping] = []
    for mapping in mappings.sorted(by: { $0.start < $1.start }) where mapping.start < mapping.end {
      if let last = present.last, last.overlaps(mapping) { continue }
      present.append(mapping)
    }
    guard present != current.map(\.mapping) else { return }
    epoch += 1
    var left = Dictionary(uniqueKeysWithValues: current.map { ($0.mapping, $0) })
    let next = present.map { left.removeValue(forKey: $0) ?? Entry(mapping: $0, born: epoch) }
    for var gone in current where left[gone.mapping] != nil && gone.mapping.isCode {
      gone.died = epoch
      former.append(gone)
    }
    former.removeFirst(max(former.count - Self.maximumFormer, 0))
    current = next
  }

  /// What lay at an address in an epoch. Where nothing is known to have lain there then, the last that lay there before
  /// it: a stack is seen some time after it was taken; else the first that came after it.
  func mapping(at address: UInt64, in epoch: Int) -> SymbolMapping? {
    let now = present(at: address)
    if let now, now.born <= epoch { return now.mapping }
    var before: Entry?
    var after = now
    for entry in former.reversed() where entry.mapping.start <= address && address < entry.mapping.end {
      if entry.born <= epoch {
        if epoch < entry.died { return entry.mapping }
        before = before ?? entry
      } else {
        after = entry
      }
    }
    return before?.mapping ?? after?.mapping
  }

  private func present(at address: UInt64) -> Entry? {
    var low = 0
    var high = current.count
    while low < high {
      let middle = (low + high) / 2
      if current[middle].mapping.start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < current[low - 1].mapping.end else { return nil }
    return current[low - 1]
  }
}

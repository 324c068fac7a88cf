/// The libraries that a process's dynamic linker has told of, also those that came and went between two looks at the
/// memory map.
///
/// Time is counted in the linker's own changes: a library lies where it was loaded from one of them on, until another
/// one is loaded there. That it was unloaded does not matter: addresses of code that is gone are in no new stack.
struct LoadedLibraries {
  /// The changes at which a library was loaded at a place, ascending.
  private var loads: [SymbolMapping: [UInt32]] = [:]
  private var count = 0

  /// More loads than this are not kept apart: of each library the older half is forgotten.
  private static let most = 1 << 16

  /// The code of a library has been mapped.
  mutating func add(_ mapping: SymbolMapping, change: UInt32) {
    guard loads[mapping]?.last.map({ $0 < change }) ?? true else { return }
    loads[mapping, default: []].append(change)
    count += 1
    guard count > Self.most else { return }
    loads = loads.mapValues { Array($0.suffix(($0.count + 1) / 2)) }
    count = loads.reduce(0) { $0 + $1.value.count }
  }

  /// Whether its file is still needed.
  func contains(_ mapping: SymbolMapping) -> Bool { loads[mapping] != nil }

  /// What was loaded last at an address, no later than a change; nil if nothing is known to have been.
  func mapping(at address: UInt64, change: UInt32) -> SymbolMapping? {
    var best: (mapping: SymbolMapping, change: UInt32)?
    for (mapping, changes) in loads where mapping.start <= address && address < mapping.end {
      guard let last = changes[..<Self.end(changes, change)].last, last > best?.change ?? 0 else { continue }
      best = (mapping, last)
    }
    return best?.mapping
  }

  /// How many of the changes are no later than one.
  private static func end(_ changes: [UInt32], _ change: UInt32) -> Int {
    var low = 0
    var high = changes.count
    while low < high {
      let middle = (low + high) / 2
      if changes[middle] <= change { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

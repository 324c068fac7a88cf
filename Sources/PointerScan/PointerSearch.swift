/// Finds in the words of a process's memory those that point into its live objects, and notes who points to whom.
///
/// Conservative: every aligned word whose lower 48 bits lie in [address, address + size) of an object is a pointer to
/// it, whatever the program takes it for. Not found are pointers that are kept in another form: compressed, xored with
/// something, split, as an offset, or at an address that is no multiple of 8.
public struct PointerSearch: Sendable {
  public let index: ObjectIndex
  private let table: PageTable
  /// Who points to whom among the objects: `from << 32 | to`, by number. An object's pointers to itself are left out.
  private(set) var edges: [UInt64] = []
  /// By object: the first kind of source, outside of all objects, that points to it (0: none), and where it stands.
  private(set) var roots: [UInt8]
  private(set) var rootPlaces: [UInt64]
  /// Bytes of memory that were searched.
  public private(set) var bytes: UInt64 = 0
  /// More pointers than `edgeLimit` came: what the edges say is not all.
  public private(set) var isOverflown = false
  private let edgeLimit: Int

  /// `chosen`: only pointers to these objects, by their numbers in ascending order, are wanted; others are noted where
  /// that costs nothing. nil: pointers to all. `edgeLimit` bounds the memory, at 8 bytes each.
  public init(_ index: ObjectIndex, chosen: [Int]? = nil, edgeLimit: Int = 1 << 25) {
    self.index = index
    self.edgeLimit = edgeLimit
    table = PageTable(index, chosen: chosen)
    roots = Array(repeating: 0, count: index.objects.count)
    rootPlaces = Array(repeating: 0, count: index.objects.count)
  }

  /// Notes one word that is not in memory: a register's, or what the kernel keeps. `place` is for the caller to
  /// recognise it by.
  public mutating func search(word: UInt64, source: PointerSource, place: UInt64) {
    if let number = index.object(at: word & ObjectIndex.addressMask) { note(number, source, place) }
  }

  /// Searches memory that begins at `address`, a multiple of 8. What stands outside of all objects is of `source`.
  public mutating func search(_ words: Span<UInt64>, at address: UInt64, source: PointerSource) {
    bytes += UInt64(words.count) * 8
    guard table.span > 0 else { return }
    var hits: [(place: UInt64, number: UInt32)] = []
    find(words, at: address, &hits)
    guard let first = hits.first else { return }
    // The places ascend, so the objects that they lie in do too.
    var owner = index.firstEnding(after: first.place)
    for (place, number) in hits {
      while owner < index.ends.count, index.ends[owner] <= place { owner += 1 }
      guard owner < index.starts.count, index.starts[owner] <= place else {
        note(Int(number), source, place)
        continue
      }
      guard owner != Int(number) else { continue }
      let edge = UInt64(owner) << 32 | UInt64(number)
      guard edges.last != edge else { continue }
      if edges.count < edgeLimit { edges.append(edge) } else { isOverflown = true }
    }
  }

  /// All words that point into an object, with the address at which they stand.
  private func find(
    _ words: Span<UInt64>, at address: UInt64, _ hits: inout [(place: UInt64, number: UInt32)]
  ) {
    let regions = table.regions.span
    let pages = table.pages.span
    let starts = index.starts.span
    let ends = index.ends.span
    let lowest = table.lowest
    let span = table.span
    for position in 0..<words.count {
      let word = words[position] & ObjectIndex.addressMask
      guard word &- lowest < span else { continue }
      let region = regions[Int(truncatingIfNeeded: word >> PageTable.regionShift)]
      guard region != 0 else { continue }
      let number: Int
      if region & PageTable.covered != 0 {
        number = Int(region & ~PageTable.covered)
      } else {
        let part = (Int(region) &- 1) &* PageTable.pagesPerRegion
        let page = Int(truncatingIfNeeded: word >> PageTable.pageShift) & (PageTable.pagesPerRegion - 1)
        let entry = pages[part &+ page]
        guard entry != 0 else { continue }
        // The last of the page's objects that begins at or below the word.
        var low = Int(entry >> 32)
        var count = Int(entry & 0xffff_ffff) &- low
        while count > 1 {
          let half = count >> 1
          if starts[low &+ half] <= word { low &+= half }
          count &-= half
        }
        guard starts[low] <= word, word < ends[low] else { continue }
        number = low
      }
      hits.append((address &+ UInt64(position) &* 8, UInt32(truncatingIfNeeded: number)))
    }
  }

  private mutating func note(_ number: Int, _ source: PointerSource, _ place: UInt64) {
    guard roots[number] == 0 || source.rawValue < roots[number] else { return }
    roots[number] = source.rawValue
    rootPlaces[number] = place
  }
}

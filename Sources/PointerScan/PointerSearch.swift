import Profile

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
  /// Where else in memory that drip does not know there are pointers to an object, which by now may be memory of an object
  /// that has come since; as many as are kept.
  private(set) var furtherPlaces: [(number: UInt32, place: UInt64)] = []
  private static let furtherLimit = 1 << 20
  /// Bytes of memory that were searched.
  public private(set) var bytes: UInt64 = 0
  /// More pointers than `edgeLimit` came: what the edges say is not all.
  public private(set) var isOverflown = false
  private let edgeLimit: Int
  /// Words that may be pointers, of which it is not known yet to whom: the word's number in its batch << 48 | the word.
  private var candidates: [UInt64] = []
  private var batches: [Batch] = []
  /// More are not kept: 128 MiB.
  private static let candidateLimit = 1 << 24

  /// Consecutive words that were searched at once.
  private struct Batch {
    let address: UInt64
    let source: PointerSource
    let isAllocators: Bool
    /// The first of its candidates.
    let first: Int
  }

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

  /// Searches memory that begins at `address`, a multiple of 8. What stands outside of all objects is of `source`. Quick:
  /// whom the words point to that may be pointers is found by `resolve`, for which no process need stand still.
  /// `isAllocators`: it is data of the C library, see `isNextHeader`.
  public mutating func search(
    _ words: Span<UInt64>, at address: UInt64, source: PointerSource, isAllocators: Bool = false
  ) {
    bytes += UInt64(words.count) * 8
    guard table.span > 0 else { return }
    var done = 0
    while done < words.count {
      // A candidate's place among the words of its batch has 16 bits beside the 48 of an address.
      let part = words.extracting(done..<min(done + 1 << 16, words.count))
      batches.append(
        Batch(
          address: address + UInt64(done) * 8, source: source, isAllocators: isAllocators,
          first: candidates.count))
      collect(part)
      if candidates.count >= Self.candidateLimit { resolve() }
      done += part.count
    }
  }

  /// Keeps the words that point into the page of an object.
  private mutating func collect(_ words: Span<UInt64>) {
    let table = table
    let regions = table.regions.span
    let pages = table.pages.span
    let lowest = table.lowest
    let span = table.span
    for position in 0..<words.count {
      let word = words[position] & ObjectIndex.addressMask
      guard word &- lowest < span else { continue }
      let region = regions[Int(truncatingIfNeeded: word >> PageTable.regionShift)]
      guard region != 0 else { continue }
      if region & PageTable.covered == 0 {
        let part = (Int(region) &- 1) &* PageTable.pagesPerRegion
        let page = Int(truncatingIfNeeded: word >> PageTable.pageShift) & (PageTable.pagesPerRegion - 1)
        guard pages[part &+ page] != 0 else { continue }
      }
      candidates.append(UInt64(truncatingIfNeeded: position) << 48 | word)
    }
  }

  /// Finds out to which objects the words point that were kept, and where they stand.
  public mutating func resolve() {
    for (number, batch) in batches.enumerated() {
      let end = number + 1 < batches.count ? batches[number + 1].first : candidates.count
      guard batch.first < end else { continue }
      // The places ascend, so the objects that they lie in do too.
      var owner = index.firstEnding(after: place(batch, candidates[batch.first]))
      for position in batch.first..<end {
        let word = candidates[position] & ObjectIndex.addressMask
        guard let target = object(at: word) else { continue }
        let place = place(batch, candidates[position])
        while owner < index.ends.count, index.ends[owner] <= place { owner += 1 }
        guard owner < index.starts.count, index.starts[owner] <= place else {
          if batch.isAllocators, isNextHeader(word, target) { continue }
          note(target, batch.source, place)
          continue
        }
        guard owner != target else { continue }
        let edge = UInt64(owner) << 32 | UInt64(target)
        guard edges.last != edge else { continue }
        if edges.count < edgeLimit { edges.append(edge) } else { isOverflown = true }
      }
    }
    batches.removeAll()
    // There will be as many again where there were so many.
    let hadMany = candidates.count >= Self.candidateLimit
    candidates.removeAll(keepingCapacity: hadMany)
  }

  /// Whether a word is where the header of the block behind an object begins, as glibc lays out its heap: 16 bytes before
  /// what it hands out, and so in the last 8 bytes of the block before. Its lists of free blocks and the pointer to the
  /// end of its heap are such words, and hold nothing.
  private func isNextHeader(_ word: UInt64, _ number: Int) -> Bool {
    let size = index.objects[number].size
    return word == index.starts[number] &- 16 &+ max((size &+ 23) & ~15, 32)
  }

  private func place(_ batch: Batch, _ candidate: UInt64) -> UInt64 {
    batch.address &+ (candidate >> 48) &* 8
  }

  /// The object that an address lies in, by its page.
  private func object(at address: UInt64) -> Int? {
    let region = table.regions[Int(truncatingIfNeeded: address >> PageTable.regionShift)]
    if region & PageTable.covered != 0 { return Int(region & ~PageTable.covered) }
    guard region != 0 else { return nil }
    let part = (Int(region) &- 1) &* PageTable.pagesPerRegion
    let page = Int(truncatingIfNeeded: address >> PageTable.pageShift) & (PageTable.pagesPerRegion - 1)
    let entry = table.pages[part &+ page]
    guard entry != 0 else { return nil }
    // The last of the page's objects that begins at or below the address.
    var low = Int(entry >> 32)
    var count = Int(entry & 0xffff_ffff) &- low
    while count > 1 {
      let half = count >> 1
      if index.starts[low &+ half] <= address { low &+= half }
      count &-= half
    }
    return index.starts[low] <= address && address < index.ends[low] ? low : nil
  }

  private mutating func note(_ number: Int, _ source: PointerSource, _ place: UInt64) {
    guard roots[number] == 0 || source.rawValue < roots[number] else {
      if source == .unknownHeap, roots[number] == source.rawValue, furtherPlaces.count < Self.furtherLimit {
        furtherPlaces.append((UInt32(truncatingIfNeeded: number), place))
      }
      return
    }
    roots[number] = source.rawValue
    rootPlaces[number] = place
  }
}

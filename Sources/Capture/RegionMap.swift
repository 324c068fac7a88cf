/// The mapped memory of one process since the attach: which address ranges there are, and which call stack each comes
/// from. Pure. Ranges are cut, replaced and moved as the kernel does it (mmap(2), munmap(2), mremap(2), brk(2)).
struct RegionMap: Sendable, Hashable {
  struct Region: Sendable, Hashable {
    /// First address.
    var start: UInt64
    /// The first address after it.
    var end: UInt64
    /// The slot of its call stack.
    var site: UInt32
    /// When it was mapped, in the units of the live table.
    var birth: UInt32
    /// Which mapping it is a part of.
    var mapping: UInt64
  }

  /// What one call stack has done. Bytes are whole pages.
  struct Counts: Sendable, Hashable {
    var maps: UInt64 = 0
    /// Mappings of which nothing is left.
    var unmaps: UInt64 = 0
    var mappedBytes: UInt64 = 0
    var unmappedBytes: UInt64 = 0
  }

  /// By start; none overlaps another.
  private(set) var regions: [Region] = []
  private(set) var counts: [UInt32: Counts] = [:]
  /// Pages that were unmapped and had not been seen to be mapped.
  private(set) var unmatchedBytes: UInt64 = 0
  /// How many pieces of each mapping are left.
  private var pieces: [UInt64: Int] = [:]
  private var nextMapping: UInt64 = 0
  /// What the last removal of a thread has taken, in case it is refused.
  private var removed: [UInt64: [Region]] = [:]
  private var programBreak: UInt64
  private let page: UInt64

  /// `programBreak`: where the heap segment ends now; 0 if it has none.
  init(programBreak: UInt64 = 0, page: UInt64 = 4096) {
    self.programBreak = programBreak
    self.page = page
  }

  private func rounded(_ length: UInt64) -> UInt64 { (length &+ page &- 1) & ~(page - 1) }

  /// A mapping has come; whatever was there has gone.
  mutating func map(_ address: UInt64, _ length: UInt64, site: UInt32, birth: UInt32) {
    let size = rounded(length)
    guard size > 0, address &+ size > address else { return }
    _ = remove(address, address + size, countsUnmatched: false)
    let at = index(of: address)
    regions.insert(
      Region(start: address, end: address + size, site: site, birth: birth, mapping: nextMapping), at: at)
    pieces[nextMapping] = 1
    nextMapping += 1
    counts[site, default: Counts()].maps += 1
    counts[site, default: Counts()].mappedBytes += size
  }

  /// A range is about to go, by a call of this thread.
  mutating func unmap(_ address: UInt64, _ length: UInt64, thread: UInt64) {
    let size = rounded(length)
    guard size > 0, address &+ size > address, address % page == 0 else {
      removed[thread] = []
      return
    }
    removed[thread] = remove(address, address + size, countsUnmatched: true)
  }

  /// The kernel has refused the last removal of this thread: it is as it was before.
  mutating func restore(thread: UInt64) {
    for region in removed.removeValue(forKey: thread) ?? [] {
      // Another thread may have put something there meanwhile, had it been free; it was not.
      regions.insert(region, at: index(of: region.start))
      let left = pieces[region.mapping, default: 0]
      pieces[region.mapping] = left + 1
      counts[region.site, default: Counts()].unmappedBytes -= region.end - region.start
      if left == 0 { counts[region.site, default: Counts()].unmaps -= 1 }
    }
  }

  /// The program's break has moved.
  mutating func setBreak(_ address: UInt64, site: UInt32, birth: UInt32) {
    let old = rounded(programBreak)
    let new = rounded(address)
    programBreak = address
    guard old > 0 else { return }
    if new > old {
      map(old, new - old, site: site, birth: birth)
    } else if new < old {
      _ = remove(new, old, countsUnmatched: false)
    }
  }

  /// Outstanding bytes and pieces, and the oldest birth, by call stack.
  func outstanding() -> [UInt32: (bytes: UInt64, pieces: UInt64, oldest: UInt32)] {
    var result: [UInt32: (bytes: UInt64, pieces: UInt64, oldest: UInt32)] = [:]
    for region in regions {
      var entry = result[region.site] ?? (0, 0, .max)
      entry.bytes += region.end - region.start
      entry.pieces += 1
      entry.oldest = min(entry.oldest, region.birth)
      result[region.site] = entry
    }
    return result
  }

  /// The first region that does not begin before an address.
  private func index(of address: UInt64) -> Int {
    var (low, high) = (0, regions.count)
    while low < high {
      let middle = (low + high) / 2
      if regions[middle].start < address { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Takes a range out, cutting what reaches beyond it. What was taken.
  private mutating func remove(_ start: UInt64, _ end: UInt64, countsUnmatched: Bool) -> [Region] {
    var first = index(of: start)
    if first > 0, regions[first - 1].end > start { first -= 1 }
    var last = first
    var taken: [Region] = []
    var kept: [Region] = []
    while last < regions.count, regions[last].start < end {
      let region = regions[last]
      last += 1
      var piece = region
      piece.start = max(region.start, start)
      piece.end = min(region.end, end)
      taken.append(piece)
      if region.start < start { kept.append(with(region, region.start, start)) }
      if region.end > end { kept.append(with(region, end, region.end)) }
      let left =
        pieces[region.mapping, default: 1] - 1 + (region.start < start ? 1 : 0) + (region.end > end ? 1 : 0)
      pieces[region.mapping] = left == 0 ? nil : left
      counts[region.site, default: Counts()].unmappedBytes += piece.end - piece.start
      if left == 0 { counts[region.site, default: Counts()].unmaps += 1 }
    }
    regions.replaceSubrange(first..<last, with: kept)
    if countsUnmatched {
      unmatchedBytes += (end - start) - taken.reduce(0) { $0 + ($1.end - $1.start) }
    }
    return taken
  }

  private func with(_ region: Region, _ start: UInt64, _ end: UInt64) -> Region {
    var piece = region
    piece.start = start
    piece.end = end
    return piece
  }
}

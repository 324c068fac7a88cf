/// From an address to the few objects that have bytes in its page; most words of a memory are told here to be no
/// pointers to any of them.
///
/// Two levels: entries for regions of 64 MiB, of which a process touches few, so that the entries in use stay in the
/// cache; and 16,384 pages of 4 KiB in each region in use. A page's entry is the range of its objects' numbers,
/// `first << 32 | end`; 0 for none.
struct PageTable: Sendable {
  static let pageShift: UInt64 = 12
  static let regionShift: UInt64 = 26
  /// Addresses have 48 bits.
  private static let regionCount = 1 << (48 - 26)
  static let pagesPerRegion = 1 << (26 - 12)
  /// In a region's entry: one object covers all of it, whose number is in the other bits.
  static let covered: UInt32 = 1 << 31

  /// The lowest address of any object, and the bytes from it to the end of the highest.
  private(set) var lowest: UInt64 = 0
  private(set) var span: UInt64 = 0
  /// 1 + the number of the region's part of `pages`; 0 for none.
  private(set) var regions: [UInt32]
  private(set) var pages: [UInt64] = []

  /// Of the pages of chosen objects, by their numbers in ascending order; nil: of all. The range of a page may also
  /// hold objects that were not chosen.
  init(_ index: ObjectIndex, chosen: [Int]? = nil) {
    regions = Array(repeating: 0, count: Self.regionCount)
    let numbers = chosen ?? Array(index.objects.indices)
    guard let first = numbers.first, let last = numbers.last else { return }
    lowest = index.starts[first]
    span = index.ends[last] - lowest
    for number in numbers { add(number, from: index.starts[number], to: index.ends[number]) }
  }

  private mutating func add(_ number: Int, from start: UInt64, to end: UInt64) {
    let regionBytes: UInt64 = 1 << Self.regionShift
    var address = start
    while address < end {
      let region = Int(address >> Self.regionShift)
      let regionEnd = (UInt64(region) + 1) << Self.regionShift
      if address == regionEnd - regionBytes, end >= regionEnd {
        // A reservation of terabytes must not cost a table of its pages.
        regions[region] = Self.covered | UInt32(number)
        address = regionEnd
        continue
      }
      if regions[region] == 0 {
        pages.append(contentsOf: repeatElement(0, count: Self.pagesPerRegion))
        regions[region] = UInt32(pages.count / Self.pagesPerRegion)
      }
      let part = (Int(regions[region]) - 1) * Self.pagesPerRegion
      let slot = part + Int(address >> Self.pageShift) & (Self.pagesPerRegion - 1)
      if pages[slot] == 0 { pages[slot] = UInt64(number) << 32 }
      pages[slot] = pages[slot] & ~0xffff_ffff | UInt64(number + 1)
      address = ((address >> Self.pageShift) + 1) << Self.pageShift
    }
  }
}

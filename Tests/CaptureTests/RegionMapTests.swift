import Testing

@testable import Capture

/// The interval map against the simplest thing that could be right: a dictionary of pages.
@Suite("region map")
struct RegionMapTests {
  private struct Oracle {
    struct Page: Equatable {
      var site: UInt32
      var mapping: Int
    }
    var pages: [UInt64: Page] = [:]
    var mapped: [UInt32: UInt64] = [:]
    var unmapped: [UInt32: UInt64] = [:]
    var maps: [UInt32: UInt64] = [:]
    var next = 0

    mutating func map(_ first: UInt64, _ count: UInt64, _ site: UInt32) {
      unmap(first, count)
      for page in first..<first + count { pages[page] = Page(site: site, mapping: next) }
      next += 1
      maps[site, default: 0] += 1
      mapped[site, default: 0] += count
    }

    mutating func unmap(_ first: UInt64, _ count: UInt64) {
      for page in first..<first + count {
        if let old = pages.removeValue(forKey: page) { unmapped[old.site, default: 0] += 1 }
      }
    }
  }

  @Test("random calls leave what a map of pages has", arguments: 0..<300)
  func random(seed: UInt64) {
    var state = (seed + 1) &* 0x9e37_79b9_7f4a_7c15
    func draw(_ limit: UInt64) -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state % limit
    }
    var map = RegionMap()
    var oracle = Oracle()
    for _ in 0..<200 {
      let (first, count, site) = (1 + draw(60), 1 + draw(12), UInt32(1 + draw(5)))
      switch draw(4) {
      case 0, 1:
        map.map(first * 4096, count * 4096 - draw(4096), site: site, birth: 0)
        oracle.map(first, count, site)
      case 2:
        map.unmap(first * 4096, count * 4096, thread: 1)
        oracle.unmap(first, count)
      default:
        // Refused: all is as it was.
        map.unmap(first * 4096, count * 4096, thread: 1)
        map.restore(thread: 1)
      }
    }
    var pages: [UInt64: UInt32] = [:]
    for region in map.regions {
      #expect(region.start < region.end)
      for page in region.start / 4096..<region.end / 4096 {
        #expect(pages.updateValue(region.site, forKey: page) == nil, "no two regions overlap")
      }
    }
    #expect(pages == oracle.pages.mapValues(\.site))
    let alive = Dictionary(grouping: oracle.pages.values, by: \.site).mapValues {
      Set($0.map(\.mapping)).count
    }
    for (site, counts) in map.counts {
      #expect(counts.mappedBytes == (oracle.mapped[site] ?? 0) * 4096)
      #expect(counts.unmappedBytes == (oracle.unmapped[site] ?? 0) * 4096)
      #expect(
        counts.maps - counts.unmaps == UInt64(alive[site] ?? 0), "a mapping is freed with its last page")
    }
  }

  @Test("the break grows and shrinks; what was there before is not ours")
  func programBreak() {
    var map = RegionMap(programBreak: 0x10000)
    map.setBreak(0x14000, site: 1, birth: 0)
    map.setBreak(0x12000, site: 2, birth: 0)
    map.setBreak(0x8000, site: 2, birth: 0)
    #expect(map.regions.isEmpty)
    #expect(map.counts[1] == RegionMap.Counts(maps: 1, unmaps: 1, mappedBytes: 0x4000, unmappedBytes: 0x4000))
  }

  @Test("pages that nobody mapped are counted apart")
  func unmatched() {
    var map = RegionMap()
    map.map(0x1000, 0x1000, site: 1, birth: 0)
    map.unmap(0x1000, 0x3000, thread: 7)
    #expect(map.unmatchedBytes == 0x2000)
    map.unmap(0x1001, 0x1000, thread: 7)
    map.restore(thread: 7)
    #expect(map.regions.isEmpty, "a call that was never possible has taken nothing to give back")
  }
}

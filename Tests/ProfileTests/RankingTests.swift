import Testing

@testable import Profile

@Suite("ranking")
struct RankingTests {
  private func site(_ id: UInt32, bytes: UInt64, count: UInt64, age: Double? = 1) -> SiteCounts {
    SiteCounts(
      id: id, process: 0, allocs: count + 5, frees: 5, allocatedBytes: bytes + 50, freedBytes: 50,
      agedCount: count / 2, agedBytes: bytes / 2, oldestSeconds: age)
  }

  private var snapshot: Snapshot {
    Snapshot(
      elapsedSeconds: 10,
      sites: [
        site(1, bytes: 100, count: 50, age: 9), site(2, bytes: 300, count: 2, age: 3),
        site(3, bytes: 200, count: 10, age: 6), site(4, bytes: 0, count: 0, age: nil),
      ])
  }

  @Test("each key orders by itself, largest first")
  func keys() {
    let growth: [UInt32: Double] = [1: 5, 2: -3, 3: 7]
    func order(_ key: SortKey) -> [UInt32] {
      Ranking(snapshot, by: key, limit: nil, growth: growth).entries.map(\.site.id)
    }
    #expect(order(.bytes) == [2, 3, 1])
    #expect(order(.count) == [1, 3, 2])
    #expect(order(.age) == [1, 3, 2])
    #expect(order(.growth) == [3, 1, 2])
  }

  @Test("what is left out is added up, and totals are of everything")
  func omitted() {
    let ranking = Ranking(snapshot, by: .bytes, limit: 1)
    #expect(ranking.entries.map(\.site.id) == [2])
    #expect(ranking.omittedSites == 2)
    #expect(ranking.omittedBytes == 300)
    #expect(ranking.omittedCount == 60)
    #expect(ranking.totals.outstandingBytes == 600)
    #expect(ranking.totals.frees == 20)
  }

  @Test("the age filter shows old objects only")
  func aged() {
    let ranking = Ranking(snapshot, by: .bytes, limit: nil, isAgeFiltered: true)
    #expect(ranking.entries.map(\.outstandingBytes) == [150, 100, 50])
  }

  @Test("sites that freed everything are kept when asked for")
  func idle() {
    #expect(Ranking(snapshot, by: .bytes, limit: nil, includesIdle: true).entries.count == 4)
  }

  @Test("a free seen before its allocation reads as nothing, not as 2^64")
  func torn() {
    let torn = SiteCounts(id: 1, process: 0, allocs: 1, frees: 2, allocatedBytes: 10, freedBytes: 20)
    #expect(torn.outstandingCount == 0)
    #expect(torn.outstandingBytes == 0)
  }

  @Test("losses that cost counts are told from facts")
  func losses() {
    var losses = Losses()
    losses[.unmatchedFrees] = 5
    losses[.truncatedStacks] = 2
    #expect(losses.total == 0)
    losses[.tableFull] = 3
    #expect(losses.total == 3)
    #expect(losses.occurred.map(\.kind) == [.tableFull, .truncatedStacks, .unmatchedFrees])
  }
}

import CProbes
import Profile
import Testing

@testable import Capture

@Suite("cohort rows")
struct CohortRowsTests {
  private static let unit = Double(UInt64(1) << UInt64(DRIP_BIRTH_SHIFT)) / 1e9

  private func rows(elapsed: Double, start: UInt64 = 1000, sampling: ByteSampling = .everything) -> CohortRows
  {
    CohortRows(siteCapacity: 100, start: start, elapsed: elapsed, sampling: sampling)
  }

  @Test("objects go to the row of their site and the bin of their birth")
  func places() throws {
    var rows = rows(elapsed: 40)
    let second = UInt32(1 / Self.unit)
    // A width of 1 s.
    rows.add(size: 10, site: 7, birth: 1000)
    rows.add(size: 20, site: 7, birth: 1000 + second / 2)
    rows.add(size: 5, site: 7, birth: 1000 + second * 39 + second / 2)
    rows.add(size: 1, site: 3, birth: 1000 + second * 3 / 2)
    let cohorts = rows.cohorts
    #expect(cohorts.width == 1)
    #expect(cohorts.bins == 41)
    #expect(cohorts.rows.map(\.site) == [3, 7])
    #expect(cohorts.rows.allSatisfy { $0.objects.count == 41 && $0.bytes.count == 41 })
    let row = try #require(cohorts.row(of: 7))
    #expect(row.objects[0] == 2 && row.objects[39] == 1 && row.objects.reduce(0, +) == 3)
    #expect(row.bytes[0] == 30 && row.bytes[39] == 5)
    #expect(cohorts.row(of: 3)?.objects[1] == 1)
    #expect(cohorts.row(of: 4) == nil)
    #expect(cohorts.row(of: 8) == nil)
  }

  @Test("wider bins are pairs of narrower ones, for every birth")
  func merges() {
    var elapsed = 31.0
    let widths = (0..<20).map { _ in
      elapsed *= 2
      return elapsed / 2
    }
    var numbers = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let birth = 1000 + UInt32.random(in: 0..<UInt32(31 / Self.unit), using: &numbers)
      for (narrow, wide) in zip(widths, widths.dropFirst()) {
        #expect(rows(elapsed: narrow).bin(birth) / 2 == rows(elapsed: wide).bin(birth))
      }
    }
  }

  @Test(
    "births before the start and after the poll stay in the first and the last bin; 52 days do not overflow")
  func ends() {
    #expect(rows(elapsed: 10).bin(0) == 0)
    #expect(rows(elapsed: 10).bin(.max) == 20)
    let long = rows(elapsed: 4_500_000, start: 0)
    let cohorts = long.cohorts
    #expect(long.bin(.max) == Int(Double(UInt32.max) * Self.unit / cohorts.width))
    #expect(cohorts.bins <= BirthCohorts.binCount)
  }

  @Test("with sampling objects are those in the sample, and bytes stand for all")
  func sampled() throws {
    let sampling = try #require(ByteSampling(distance: 4096))
    var rows = rows(elapsed: 10, sampling: sampling)
    rows.add(size: 100, site: 1, birth: 1000)
    let row = try #require(rows.cohorts.row(of: 1))
    #expect(row.objects[0] == 1)
    #expect(row.bytes[0] == sampling.scaledBytes(100))
    #expect(row.bytes[0] > 4000)
  }
}

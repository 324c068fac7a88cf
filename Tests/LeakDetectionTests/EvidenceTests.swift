import Profile
import Testing

@testable import LeakDetection

@Suite("evidence")
struct EvidenceTests {
  @Test("deaths by age: a bucket that the age is in counts by its share")
  func ages() {
    var buckets = [UInt32](repeating: 0, count: DeathAges.count + 3)
    // The third place on, as in the middle of a flat array.
    for (age, count) in [(0.1, 5), (1.0, 10), (64.0, 100), (1e9, 1)] {
      buckets[3 + DeathAges.bucket(age)] += UInt32(count)
    }
    func deaths(_ age: Double) -> Double { DeathAges.deaths(in: buckets[3...], from: age) }
    #expect(deaths(0) == 116)
    #expect(deaths(1) == 111)
    #expect(deaths(1.5) == 101)
    // 64 s begins a bucket of half an octave; a quarter of an octave on half of it is left.
    #expect((deaths(64 * 1.189207) - 51).magnitude < 0.01)
    #expect(deaths(100) == 1)
    #expect(DeathAges.bucket(.infinity) == DeathAges.count - 1)
  }

  @Test("Benjamini and Hochberg's own example, capped")
  func falseDiscovery() {
    // The fifteen probabilities of section 4.1 of their paper: four are believed at 0.05.
    let values = [
      0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
      0.7590, 1.0000,
    ]
    #expect(FalseDiscovery.level(values.reversed(), rate: 0.05, cap: 1) == 0.0095)
    #expect(FalseDiscovery.level(values, rate: 0.05, cap: 1e-3) == 1e-3)
    #expect(FalseDiscovery.level([0.5, 0.9], rate: 0.05, cap: 1) == 0)
    #expect(FalseDiscovery.level([], rate: 0.05, cap: 1) == 0)
  }

  @Test("of ten thousand sites that are at the border by chance hardly any is believed")
  func manySites() {
    var numbers = SeededNumbers(seed: 11)
    let values = (0..<10_000).map { _ in numbers.unit() }
    let level = FalseDiscovery.level(values + [1e-9], rate: 0.01, cap: 1e-3)
    #expect(values.count { $0 <= level } <= 1)
    #expect(level >= 1e-9)
  }

  @Test("Student's points", arguments: [(4.0, 2.776), (7, 2.365), (10, 2.228), (30, 2.042), (1000, 1.962)])
  func student(degrees: Double, expected: Double) {
    #expect((Growth.student(degrees) - expected).magnitude < 0.01 * expected)
  }

  @Test(
    "the rate's interval holds the truth in about 95 of 100 watches: single objects, clusters, mixed sizes")
  func coverage() throws {
    let cases: [(Double, Behaviour.Run)] = [
      (50, Behaviour.partial(rate: 0.5, leak: 1)),
      (100.0 / 3, Behaviour.bursts(every: 60, of: 20)),
      (10, Behaviour.partial(rate: 0.1, leak: 1)),
    ]
    var (held, seen) = (0, 0)
    for (truth, behaviour) in cases {
      for seed in 1...60 {
        var watched = Watched(seed: UInt64(seed), behaviour)
        watched.watch(until: 1800, every: 60)
        let growth = try #require(watched.verdict?.evidence.growth)
        seen += 1
        held += growth.interval.contains(truth) ? 1 : 0
      }
    }
    #expect(Double(held) >= 0.9 * Double(seen), "\(held) of \(seen)")
    #expect(Double(held) <= 0.995 * Double(seen), "\(held) of \(seen)")
  }

  @Test("growth of too few bins, and of nothing")
  func few() {
    #expect(Growth([1, 2, 3], width: 1) == nil)
    #expect(Growth([0, 0, 0, 0], width: 2)?.interval == 0...0)
    #expect(Growth([10, 10, 10, 10], width: 2) == Growth(bytesPerSecond: 5, interval: 5...5))
  }

  @Test("intervals in which memory grew; those that nobody looked at do not count")
  func intervals() {
    let intervals = Intervals([100, 200, .nan, 300, 300, 250, 500])
    #expect(intervals.grown == 3)
    #expect(intervals.seen == 5)
    // From 300 in the middle to 500.
    #expect((intervals.laterChange - 0.4).magnitude < 1e-6)
    #expect(Intervals([.nan]).seen == 0)
  }

  @Test("when a limit is reached")
  func outlook() throws {
    let limit = MemoryLimit(source: .data, bytes: 1000, used: 400)
    let growth = Growth(bytesPerSecond: 2, interval: 0...3)
    let outlook = try #require(Outlook(limit: limit, growth: growth))
    #expect(outlook.seconds == 300)
    #expect(outlook.interval == 200...Double.infinity)
    #expect(Outlook(limit: limit, growth: Growth(bytesPerSecond: 0, interval: 0...0)) == nil)
    #expect(MemoryLimit(source: .machine, bytes: 1 << 34, used: 0).name == "the machine's 16.0 GiB")
  }
}

@Suite("process growth")
struct ProcessGrowthTests {
  private func growth(_ samples: MemorySample...) -> ProcessGrowth {
    var growth = ProcessGrowth()
    for sample in samples { growth.add(sample) }
    return growth
  }

  /// Megabytes: resident, anonymous, heap, mapped.
  private func sample(
    _ seconds: Double, _ resident: UInt64, _ anonymous: UInt64, _ heap: UInt64, _ mapped: UInt64? = nil,
    threads: Int? = nil
  ) -> MemorySample {
    MemorySample(
      seconds: seconds, resident: resident << 20, anonymous: anonymous << 20, heap: heap << 20,
      mapped: mapped.map { $0 << 20 }, threads: threads)
  }

  @Test("the allocator keeps what the heap no longer needs")
  func allocator() {
    let growth = growth(sample(0, 100, 80, 10, 0), sample(300, 190, 170, 95, 0), sample(600, 180, 160, 12, 0))
    #expect(growth.cause == .allocator)
    #expect(
      growth.sentence
        == "RSS grew 80.0 MiB in 10 min, outstanding heap +2.00 MiB, mapped memory +0 B: the allocator keeps it, the heap was 95.0 MiB at its largest; no leak."
    )
  }

  @Test("live objects, mappings, threads, files")
  func causes() {
    #expect(growth(sample(0, 100, 80, 10), sample(60, 180, 160, 85)).cause == .heap)
    #expect(growth(sample(0, 100, 80, 10, 0), sample(60, 180, 160, 12, 90)).cause == .mappings)
    #expect(
      growth(sample(0, 100, 80, 10, threads: 4), sample(60, 140, 120, 12, threads: 24)).cause == .threads)
    #expect(growth(sample(0, 100, 80, 10), sample(60, 180, 85, 12)).cause == .files)
    #expect(growth(sample(0, 100, 80, 10), sample(60, 180, 160, 12)).cause == .unknown)
    #expect(growth(sample(0, 100, 80, 10, 5), sample(60, 180, 160, 12, 5)).cause == .allocator)
    // The heap was large in between; without knowing of mappings, too.
    #expect(
      growth(sample(0, 100, 80, 10), sample(30, 190, 170, 95), sample(60, 180, 160, 12)).cause == .allocator)
    // Mapped and never touched: what has grown is the heap.
    #expect(growth(sample(0, 100, 80, 10, 0), sample(60, 180, 160, 12, 45)).cause == .mappings)
    #expect(growth(sample(0, 100, 80, 70, 0), sample(60, 180, 160, 10, 90)).cause == .mappings)
    // Both together.
    #expect(growth(sample(0, 100, 80, 10, 0), sample(60, 180, 160, 40, 20)).cause == .heap)
    #expect(growth(sample(0, 1000, 80, 10), sample(60, 1009, 90, 20)).cause == ProcessGrowth.Cause.none)
    #expect(growth(sample(0, 100, 80, 10)).cause == nil)
  }

  @Test("sentences")
  func sentences() {
    #expect(
      growth(sample(0, 100, 80, 10, threads: 4), sample(60, 140, 120, 8, threads: 24)).sentence
        == "RSS grew 40.0 MiB in 1 min, outstanding heap -2.00 MiB, +20 threads: new threads and their stacks."
    )
    #expect(growth(sample(0, 100, 80, 10), sample(60, 100, 80, 10)).sentence == "RSS did not grow in 1 min.")
    #expect(
      growth(sample(0, 100, 80, 10), sample(60, 50, 30, 10)).sentence == "RSS shrank by 50.0 MiB in 1 min.")
    #expect(growth().sentence == nil)
  }

  @Test("a sample that is not later is left out")
  func order() {
    let growth = growth(sample(10, 100, 80, 10), sample(10, 900, 800, 800), sample(5, 900, 800, 800))
    #expect(growth.newest == growth.first)
    #expect(growth.mostHeap == 10 << 20)
  }
}

import Profile
import Testing

@testable import LeakDetection

@Suite("growth tracker")
struct GrowthTrackerTests {
  private func snapshot(_ seconds: Double, _ bytes: [UInt32: UInt64]) -> Snapshot {
    Snapshot(
      elapsedSeconds: seconds,
      sites: bytes.sorted { $0.key < $1.key }.map {
        SiteCounts(
          id: $0.key, process: 0, allocs: 5, frees: 2, allocatedBytes: $0.value + 1000, freedBytes: 1000)
      })
  }

  private func tracker(
    until end: Int, step: Double = 1, capacity: Int = 64, _ bytes: (Double) -> [UInt32: UInt64]
  ) -> GrowthTracker {
    var tracker = GrowthTracker(capacity: capacity)
    for index in 1...end { tracker.add(snapshot(Double(index) * step, bytes(Double(index) * step))) }
    return tracker
  }

  @Test(
    "steady growth is told exactly, however long the watch",
    arguments: [3, 10, 64, 65, 66, 129, 1000, 20_000])
  func steady(count: Int) {
    let tracker = tracker(until: count) { [1: UInt64(500 * $0)] }
    #expect(tracker.growthBytesPerSecond() == [1: 500])
    #expect(tracker.growthBytesPerSecond(site: 1) == 500)
    #expect(tracker.growthBytesPerSecond(site: 2) == nil)
  }

  @Test(
    "what a program allocates to warm up is no growth, after an hour's thinning too", arguments: [20, 3600])
  func warmUp(count: Int) {
    let limit = Double(count) * 0.4
    let tracker = tracker(until: count) { [1: UInt64(min($0, limit) * 1000)] }
    #expect(tracker.growthBytesPerSecond() == [1: 0])
  }

  @Test("the later half is meant, not the last minutes of a long watch")
  func laterHalf() throws {
    // It grows through the later half until shortly before the end.
    let tracker = tracker(until: 10_000) { [1: UInt64(min($0, 9000) * 1000)] }
    let growth = try #require(tracker.growthBytesPerSecond(site: 1))
    #expect((growth - 800).magnitude < 30)
  }

  @Test("thinning keeps the middle within a small share of the watch")
  func middle() throws {
    for count in stride(from: 100, through: 3000, by: 37) {
      let middle = Double(count) / 2
      // A step in the middle: the slope is what it was plus the step's share, only if the middle is well placed.
      let before = tracker(until: count) { [1: $0 < middle * 0.95 ? 0 : 1_000_000] }
      #expect(before.growthBytesPerSecond(site: 1) == 0, "\(count)")
      let after = tracker(until: count) { [1: $0 < middle * 1.05 ? 0 : 1_000_000] }
      #expect(try #require(after.growthBytesPerSecond(site: 1)) > 0, "\(count)")
    }
  }

  @Test("memory is bounded", arguments: [4, 16, 64])
  func bounded(capacity: Int) {
    var tracker = GrowthTracker(capacity: capacity)
    for index in 1...5000 {
      tracker.add(snapshot(Double(index), [1: UInt64(index)]))
      #expect(tracker.count <= capacity + 1)
    }
    #expect(tracker.count > capacity / 3)
  }

  @Test("irregular readings do not matter")
  func irregular() throws {
    var tracker = GrowthTracker()
    var seconds = 0.0
    for index in 0..<2000 {
      seconds += index % 7 == 0 ? 3.1 : index % 3 == 0 ? 0.2 : 1
      tracker.add(snapshot(seconds, [1: UInt64(seconds * 1000)]))
    }
    #expect((try #require(tracker.growthBytesPerSecond(site: 1)) - 1000).magnitude < 0.1)
  }

  @Test("too little to tell: no snapshot, one, or less than a second")
  func short() {
    var tracker = GrowthTracker()
    #expect(tracker.growthBytesPerSecond().isEmpty)
    tracker.add(snapshot(5, [1: 100]))
    #expect(tracker.growthBytesPerSecond(site: 1) == nil)
    tracker.add(snapshot(5.9, [1: 1000]))
    #expect(tracker.growthBytesPerSecond(site: 1) == nil)
    tracker.add(snapshot(6, [1: 1100]))
    #expect(tracker.growthBytesPerSecond(site: 1) == 1000)
  }

  @Test("sites that come, shrink and go")
  func comeAndGo() {
    var tracker = GrowthTracker()
    tracker.add(snapshot(5, [1: 1000, 2: 4000]))
    tracker.add(snapshot(10, [1: 500, 3: 2000]))
    #expect(tracker.growthBytesPerSecond() == [1: -100, 2: -800, 3: 400])
  }

  @Test("a snapshot that is not later is left out")
  func order() {
    var tracker = GrowthTracker()
    tracker.add(snapshot(2, [1: 1000]))
    tracker.add(snapshot(4, [1: 2000]))
    for seconds in [4, 3, .nan, .infinity] { tracker.add(snapshot(seconds, [1: 9000])) }
    #expect(tracker.count == 2)
    #expect(tracker.growthBytesPerSecond() == [1: 500])
  }
}

import Processes
import Profile
import Testing

@testable import PointerScan

/// What of a memory map is read, and from where on.
@Suite("the plan of a scan")
struct ScanPlanTests {
  private func plan(
    _ maps: String, stack: UInt64, local: UInt64, objects: [LiveObject] = []
  ) -> [ScanPlan.Region] {
    let thread = TargetStopper.Thread(id: 7, stackPointer: stack, threadPointer: local, words: [])
    return ScanPlan(mappings: MemoryMap.parse(maps), threads: [thread], index: ObjectIndex(objects)).regions
  }

  private let guarded = """
    7f0000800000-7f0000801000 ---p 00000000 00:00 0
    7f0000801000-7f0001001000 rw-p 00000000 00:00 0
    """

  @Test("of a thread's stack what lies below the red zone is dead")
  func stack() {
    let regions = plan(guarded, stack: 0x7f00_0090_1234, local: 0x7f00_0100_0740)
    #expect(regions.map(\.start) == [(0x7f00_0090_1234 - 128) & ~7])
    #expect(regions.map(\.source) == [.stack] && regions.map(\.thread) == [7])
  }

  @Test("what may be more than a stack is read as a whole")
  func notOnlyAStack() {
    let whole: [UInt64] = [0x7f00_0080_1000]
    // Live objects lie below.
    let object = LiveObject(address: 0x7f00_0080_2000, size: 8, birth: 0, site: 0)
    #expect(
      plan(guarded, stack: 0x7f00_0090_1000, local: 0x7f00_0100_0740, objects: [object]).first?.start
        == whole[0])
    // The thread's control block is elsewhere: it runs on a stack that the program has made.
    #expect(plan(guarded, stack: 0x7f00_0090_1000, local: 0x7f00_0200_0740).map(\.start) == whole)
    // No guard below.
    let bare = guarded.replacing("---p", with: "rw-p")
    #expect(
      plan(bare, stack: 0x7f00_0090_1000, local: 0x7f00_0100_0740).contains {
        $0.start == whole[0]
      })
    // An arena of glibc begins at a multiple of 64 MiB, and what another has reserved may lie before it.
    let arena = """
      7f0003000000-7f0004000000 ---p 00000000 00:00 0
      7f0004000000-7f0004800000 rw-p 00000000 00:00 0
      """
    #expect(plan(arena, stack: 0x7f00_0410_0000, local: 0x7f00_047f_0000).first?.start == 0x7f00_0400_0000)
  }

  @Test("devices and what nobody can have written to are left out; zeroed data follows its file")
  func kinds() {
    let regions = plan(
      """
      550000000000-550000001000 r--p 00000000 fe:00 12 /bin/server
      550000001000-550000002000 r-xs 00000000 fe:00 12 /bin/server
      550000002000-550000003000 rw-p 00002000 fe:00 12 /bin/server
      550000003000-550000004000 rw-p 00000000 00:00 0
      560000000000-560000021000 rw-p 00000000 00:00 0 [heap]
      7f0000000000-7f0000001000 rw-s 00000000 00:05 3 /dev/dri/card0
      7f0000001000-7f0000002000 rw-s 00000000 00:01 4 /dev/zero (deleted)
      7f0000002000-7f0000003000 ---p 00000000 00:00 0
      7f0000003000-7f0000004000 r--p 00000000 00:00 0 [vvar]
      7f0000005000-7f0000006000 rw-p 00000000 fe:00 13 /usr/lib/libc.so.6
      """, stack: 0, local: 0)
    #expect(
      regions.map(\.source) == [.data, .data, .data, .unknownHeap, .shared, .unknownHeap])
    #expect(regions.map(\.ownPagesOnly) == [true, true, false, false, false, true])
    #expect(regions.map(\.isAllocators) == [false, false, false, false, false, true])
  }

  @Test("thread-local storage of the first thread is told from the heap around it")
  func threadLocal() {
    let regions = plan(
      "7f0000000000-7f0000100000 rw-p 00000000 00:00 0", stack: 0, local: 0x7f00_0005_0000)
    #expect(regions.map(\.source) == [.unknownHeap, .threadLocal, .unknownHeap])
    #expect(regions.map(\.thread) == [0, 7, 0])
    #expect(zip(regions, regions.dropFirst()).allSatisfy { $0.end == $1.start })
    #expect(regions.first?.start == 0x7f00_0000_0000 && regions.last?.end == 0x7f00_0010_0000)
  }
}

import Profile
import Testing

@Suite("how stacks end")
struct StackCountsTests {
  private func site(_ end: StackEnd) -> SiteCounts {
    SiteCounts(id: 0, process: 0, allocs: 1, frees: 0, allocatedBytes: 1, freedBytes: 0, end: end)
  }

  @Test("every stack is counted once, under its reason")
  func counts() {
    let ends: [StackEnd] = [
      .complete, .complete, .truncated, .unreadable, .broken, .unmapped, .missing, .truncated,
    ]
    let stacks = StackCounts(ends.map(site), depth: 7)
    #expect(StackEnd.allCases.map { stacks[$0] } == [2, 2, 1, 1, 1, 1])
    #expect(stacks.partial == 6)
    #expect(
      stacks.summary == "2 complete, 2 truncated at 7 frames, 1 unreadable, 1 broken, "
        + "1 ended in code just loaded, 1 not stored")
    #expect(
      stacks.partialSummary
        == "2 truncated at 7 frames, 1 unreadable, 1 broken, 1 ended in code just loaded, 1 not stored")
  }

  @Test("no stacks at all")
  func none() {
    #expect(StackCounts([], depth: 256).partial == 0)
    #expect(StackCounts().partialSummary.isEmpty)
    #expect(StackCounts().summary.hasPrefix("0 complete, 0 truncated at 256 frames"))
  }
}

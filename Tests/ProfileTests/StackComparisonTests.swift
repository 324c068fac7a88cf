import Profile
import Testing

@Suite("comparing two unwinders")
struct StackComparisonTests {
  /// Addresses below 1000 are code with rules, below 2000 without, 5000 is the kernel's page; the rest is nothing.
  private func place(_ address: UInt64) -> ReferenceStack.Place {
    switch address {
    case ..<1000: .ruled
    case ..<2000: .bare
    case 4990...5010: .returnProbe
    default: .nothing
    }
  }

  private func verdict(
    _ walked: [UInt64], _ reference: [UInt64], reliable: Int = .max, end: StackEnd = .complete
  ) -> StackVerdict {
    ReferenceStack(frames: reference, reliable: reliable).compare(walked, end: end, place: place)
  }

  @Test("equal frames agree, however the reference came by them")
  func equal() {
    #expect(verdict([1, 2, 3], [1, 2, 3]) == .agrees)
    #expect(verdict([1, 2, 3], [1, 2, 3], reliable: 1) == .agrees)
  }

  @Test("one frame more, less or other is told with its place")
  func differing() {
    #expect(verdict([1, 2], [1, 2, 3]) == .differs(at: 2))
    #expect(verdict([1, 2, 3], [1, 2]) == .differs(at: 2))
    #expect(verdict([1, 9, 3], [1, 2, 3]) == .differs(at: 1))
    #expect(verdict([9], [1]) == .differs(at: 0))
  }

  @Test("behind the end of the copy nothing can be said, before it everything")
  func copyEnded() {
    #expect(verdict([1, 2, 3, 4], [1, 2], reliable: 2) == .notComparable(.copyEnded))
    #expect(verdict([1, 2, 3, 4], [1, 2, 77], reliable: 2) == .notComparable(.copyEnded))
    #expect(verdict([1, 3, 3, 4], [1, 2], reliable: 2) == .differs(at: 1))
  }

  @Test("a frame of code without rules leads nowhere that can be compared")
  func noRules() {
    #expect(verdict([1, 1500, 3], [1, 1500]) == .notComparable(.noRules))
    #expect(verdict([1, 1500, 3], [1, 1500, 4]) == .notComparable(.noRules))
    #expect(verdict([1, 2, 1500], [1, 3]) == .differs(at: 1))
  }

  @Test("an address in no code is the bottom of the stack, not a frame")
  func bottom() {
    #expect(verdict([1, 2], [1, 2, 9000]) == .agrees)
    #expect(verdict([1, 2], [1, 2, 9000, 3]) == .agrees)
    #expect(verdict([1], [1, 2, 9000]) == .differs(at: 1))
    #expect(verdict([1, 2, 3], [1, 2, 9000]) == .differs(at: 2))
  }

  @Test("a return address that a probe has hidden is not compared")
  func returnProbe() {
    #expect(verdict([1, 2, 3], [1, 5000, 3]) == .notComparable(.returnProbe))
    #expect(verdict([1, 9, 3], [1, 2, 5000]) == .differs(at: 1))
  }

  @Test("a walk that was cut is compared as far as it goes")
  func truncated() {
    #expect(verdict([1, 2], [1, 2, 3, 4], end: .truncated) == .agrees)
    #expect(verdict([1, 3], [1, 2, 3, 4], end: .truncated) == .differs(at: 1))
    #expect(verdict([1, 2, 3], [1, 2], end: .truncated) == .differs(at: 2))
    #expect(verdict([], [1], end: .missing) == .notComparable(.noFrames))
  }

  @Test("figures: what is comparable, what agrees, what is whole")
  func figures() {
    var checks = StackChecks()
    #expect(checks.agreement == nil)
    #expect(checks.completeness == nil)
    checks.add(.agrees, end: .complete)
    checks.add(.agrees, end: .truncated)
    checks.add(.agrees, end: .complete)
    checks.add(.differs(at: 3), end: .broken)
    checks.add(.notComparable(.copyEnded), end: .complete)
    #expect(checks.checked == 5)
    #expect(checks.agreement == 0.75)
    #expect(checks.completeness == 0.75)
    #expect(checks.truncated == 1)
  }
}

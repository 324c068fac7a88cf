/// How many distinct call stacks of a capture are whole, and why the others are not.
public struct StackCounts: Sendable, Hashable {
  private var counts: [StackEnd: UInt64] = [:]
  /// Frames kept of a stack; deeper ones are truncated.
  public var depth: Int

  public init(depth: Int = 256) { self.depth = depth }

  /// Counts the stacks of all sites.
  public init(_ sites: [SiteCounts], depth: Int) {
    self.depth = depth
    for site in sites { self[site.end] += 1 }
  }

  /// Stacks that ended in this way.
  public subscript(end: StackEnd) -> UInt64 {
    get { counts[end] ?? 0 }
    set { counts[end] = newValue == 0 ? nil : newValue }
  }

  /// Stacks that do not reach the bottom.
  public var partial: UInt64 { counts.reduce(0) { $1.key == .complete ? $0 : $0 &+ $1.value } }

  /// "1,234 complete, 3 truncated at 256 frames, 1 unreadable, 0 broken, 0 not stored"
  public var summary: String { StackEnd.allCases.map(words).joined(separator: ", ") }

  /// The same of partial stacks alone, and only of reasons that occurred; empty if all stacks are whole.
  public var partialSummary: String {
    StackEnd.allCases.filter { $0 != .complete && self[$0] > 0 }.map(words).joined(separator: ", ")
  }

  private func words(_ end: StackEnd) -> String {
    let reason =
      switch end {
      case .complete: "complete"
      case .truncated: "truncated at \(depth) frames"
      case .unreadable: "unreadable"
      case .broken: "broken"
      case .unmapped: "ended in code just loaded"
      case .missing: "not stored"
      }
    return "\(Quantities.count(self[end])) \(reason)"
  }
}

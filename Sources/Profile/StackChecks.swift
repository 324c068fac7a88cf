/// How many stacks a second unwinder has looked at, and what it found. All counters only grow.
public struct StackChecks: Sendable, Hashable {
  /// Stacks that both unwinders give frame by frame alike.
  public var agreed: UInt64 = 0
  /// Stacks on which they differ where the second one had all that it needs.
  public var disagreed: UInt64 = 0
  /// Stacks that part where the second one cannot know: its copy of the stack ended, or the code there has no call
  /// frame information (generated code, code built to be followed by frame pointers).
  public var notComparable: UInt64 = 0
  /// Those by the reason; the sum is `notComparable`.
  public var reasons: [StackVerdict.Reason: UInt64] = [:]
  /// Stacks that were to be looked at and found no room on the way.
  public var dropped: UInt64 = 0
  /// Of all that were looked at: walks that came to the root of the stack.
  public var complete: UInt64 = 0
  /// Of all that were looked at: walks that ended at the depth limit.
  public var truncated: UInt64 = 0

  public init() {}

  /// Stacks looked at.
  public var checked: UInt64 { agreed + disagreed + notComparable }

  /// Of the comparable stacks those that agree, 0 to 1; nil if none was comparable.
  public var agreement: Double? {
    let comparable = agreed + disagreed
    return comparable == 0 ? nil : Double(agreed) / Double(comparable)
  }

  /// Of the stacks within the depth limit those that were walked to the root, 0 to 1; nil if there is none.
  public var completeness: Double? {
    let whole = checked - truncated
    return whole == 0 ? nil : Double(complete) / Double(whole)
  }

  /// The figures in words.
  public var summary: String {
    guard let agreement else {
      return "none of \(Quantities.count(checked)) stack\(checked == 1 ? "" : "s") looked at was comparable"
    }
    var parts = [
      "\(Quantities.count(agreed)) of \(Quantities.count(agreed + disagreed)) stacks are the same by libdwfl"
        + " (\(Self.percent(agreement)))"
    ]
    if let completeness { parts.append("\(Self.percent(completeness)) reach the root") }
    if notComparable > 0 { parts.append("\(Quantities.count(notComparable)) not comparable") }
    if dropped > 0 { parts.append("\(Quantities.count(dropped)) not looked at") }
    return parts.joined(separator: "; ")
  }

  /// In hundredths, rounded down: 100 % is all.
  private static func percent(_ share: Double) -> String {
    let hundredths = Int(share * 10_000)
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100) %"
  }

  /// Counts one stack.
  public mutating func add(_ verdict: StackVerdict, end: StackEnd) {
    switch verdict {
    case .agrees: agreed += 1
    case .differs: disagreed += 1
    case .notComparable(let reason):
      notComparable += 1
      reasons[reason, default: 0] += 1
    }
    if end == .complete { complete += 1 }
    if end == .truncated { truncated += 1 }
  }
}

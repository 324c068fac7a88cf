public import Profile

/// The self-check: unwinds samples of stacks a second time and counts how many are alike.
///
/// Belongs to one task or actor at a time.
public final class StackChecker {
  /// One stack on which the two unwinders differ.
  public struct Difference: Sendable, Hashable {
    public var process: Int
    /// The first frame that differs, 0 is the innermost.
    public var frame: Int
    public var walked: [UInt64]
    public var reference: [UInt64]
    public var end: StackEnd
  }

  private struct Process {
    var mappings: [SymbolMapping]
    var oracle: StackOracle?
  }

  /// Differences kept for a reader; the figures count them all.
  private static let mostDifferences = 8
  private var processes: [Int: Process] = [:]
  /// What was found until now; `dropped` is not known here.
  public private(set) var checks = StackChecks()
  public private(set) var differences: [Difference] = []

  public init() {}

  /// Takes over the memory map of a process, by its number.
  public func update(process: Int, pid: Int32, mappings: [SymbolMapping]) {
    let code = mappings.filter(\.executable)
    guard processes[process]?.mappings != code else { return }
    processes[process] = Process(mappings: code, oracle: StackOracle(pid: pid, mappings: code))
  }

  /// Looks at one stack.
  @discardableResult
  public func check(_ sample: StackSample) -> StackVerdict {
    let verdict = judge(sample)
    checks.add(verdict, end: sample.end)
    return verdict
  }

  private func judge(_ sample: StackSample) -> StackVerdict {
    let shown = sample.stored.isEmpty ? sample.walked ?? [] : sample.stored
    if let walked = sample.walked, walked != shown {
      // The site is another stack's.
      let parting = zip(walked, shown).enumerated().first { $1.0 != $1.1 }?.offset
      return differ(sample, shown, walked, at: parting ?? min(walked.count, shown.count))
    }
    guard let oracle = processes[sample.process]?.oracle else { return .notComparable(.noRules) }
    // A few more than the walk has, to see that there is no more.
    let reference = oracle.unwind(sample, capacity: shown.count + 4)
    let verdict = reference.compare(shown, end: sample.end, place: oracle.place)
    guard case .differs(let frame) = verdict else { return verdict }
    if sample.isOutdated { return .notComparable(.mappingsChanged) }
    return differ(sample, shown, reference.frames, at: frame)
  }

  private func differ(
    _ sample: StackSample, _ walked: [UInt64], _ reference: [UInt64], at frame: Int
  ) -> StackVerdict {
    if differences.count < Self.mostDifferences {
      differences.append(
        Difference(
          process: sample.process, frame: frame, walked: walked, reference: reference, end: sample.end))
    }
    return .differs(at: frame)
  }
}

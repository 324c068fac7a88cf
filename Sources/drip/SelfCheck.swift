import Capture
import Processes
import Profile
import Symbolication

/// Unwinds stacks of a capture a second time, while it goes on.
final class SelfCheck {
  private let checker = StackChecker()
  /// How long a look may take before the capture has its turn again: some ten thousandths of a second a stack.
  private static let mostAtOnce = 500

  /// Differences to look into, a few at most.
  var differences: [StackChecker.Difference] { checker.differences }

  /// What was found until now, `losses` being those of the capture.
  func figures(_ losses: Losses) -> StackChecks {
    var checks = checker.checks
    checks.dropped = losses[.uncheckedStacks]
    return checks
  }

  /// Looks at the stacks that wait. `processes`: those that are watched, by their number; what is known of one that
  /// has gone is kept. True if more may wait.
  @discardableResult
  func run(_ capture: LiveCapture, _ processes: [Int: TargetProcess]) async throws -> Bool {
    var samples = try await capture.takeStackSamples(limit: Self.mostAtOnce)
    guard !samples.isEmpty else { return false }
    for number in Set(samples.map(\.process)) {
      guard let pid = processes[number]?.identity.pid, let mappings = try? MemoryMap.read(pid: pid),
        !mappings.isEmpty
      else { continue }
      checker.update(
        process: number, pid: pid,
        mappings: mappings.map {
          SymbolMapping(
            start: $0.start, end: $0.end, fileOffset: $0.fileOffset,
            executable: $0.permissions.contains(.execute), path: $0.path)
        })
    }
    // After the mappings: what has not changed by now is as it was when the stack was copied.
    let changes = await capture.linkerChanges
    for index in samples.indices {
      samples[index].isOutdated = samples[index].change != changes[samples[index].process]
      checker.check(samples[index])
    }
    return samples.count >= Self.mostAtOnce
  }
}

import Governor
import LeakDetection
import Profile
import Reports
import Store

/// What is said of a suspect's call sites, given what was not seen.
struct SuspectWords {
  /// Frees between windows were not seen.
  let hasGaps: Bool

  /// A verdict that accuses somebody. Nobody is accused of more than `watch` where frees were not seen.
  func suspicion(_ verdict: Verdict) -> StoredSuspicion? {
    guard verdict.level >= .watch else { return nil }
    var level = verdict.level
    var words = verdict.sentence
    if hasGaps, level > .watch {
      level = .watch
      words += "; frees between windows were not seen, so no more is said"
    }
    return StoredSuspicion(
      level: level.rawValue, words: "\(level.rawValue): \(words)", evidence: EvidenceJSON.render(verdict))
  }

  func notes(_ spending: Spending, omitted: Int) -> [String] {
    var notes: [String] = []
    if hasGaps {
      notes.append(
        "Probes were in place in windows only: frees outside of them were not seen, so what is outstanding is an upper "
          + "bound of what was allocated within them.")
    }
    func time(_ seconds: Double) -> String { "\(Quantities.fixed(seconds * 1000, decimals: 1)) ms" }
    notes.append(
      "The probes cost \(time(spending.cost)) of CPU time, by what a hit costs, for \(Quantities.count(spending.hits)) hits in "
        + "\(Quantities.count(spending.windows)) windows; \(time(spending.allowed)) were allowed, for the process has used "
        + "\(time(spending.targetCPU)) itself (at least a twentieth of a CPU is reckoned with).")
    if omitted > 0 { notes.append("\(omitted) smaller call sites were not stored.") }
    return notes
  }
}

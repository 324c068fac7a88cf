import Profile
import Store
import Trends

/// What `drip sample` says of itself, to people.
enum SampleWords {
  static func beginning(
    interval: Double, path: String, _ retention: Retention, suspects: SuspectWatch.Options?
  ) -> [String] {
    let rule = Rule()
    let least = Quantities.bytes(UInt64(rule.least))
    let share = Quantities.fixed(rule.share * 100, decimals: 0)
    return [
      "looks at the memory of all processes every \(Quantities.age(interval)) and writes to \(path), which keeps "
        + "\(Quantities.age(retention.age)) and at most \(Quantities.bytes(retention.bytes)); "
        + "`drip report --store \(path)` reads it",
      "tells of a process whose own memory (anonymous and swapped) rises for \(Quantities.age(interval * 11)) or more by at "
        + "least \(least) and \(share) % of it, four times that within the first \(Quantities.age(interval * 48))",
      "does not see: processes that live for less than that, what is allocated and freed between two looks, files and "
        + "shared memory",
      sites(suspects),
    ]
  }

  private static func sites(_ suspects: SuspectWatch.Options?) -> String {
    guard let suspects else { return "attaches to no process: call sites are shown by `drip dump -p PID`" }
    return
      "attaches to the process that grows fastest, one at a time, for \(Quantities.age(SuspectWatch.Options.longest)) at "
      + "most, for up to \(Quantities.fixed(suspects.budget * 100, decimals: 2)) % of that process's CPU time; drip itself takes "
      + "\(Quantities.fixed(suspects.ownShare * 100, decimals: 0)) % of a CPU and \(Quantities.age(SuspectWatch.Options.credit)) at "
      + "once, and visits nobody while it has used more. Not seen of it: what was allocated before, and outside of the windows"
  }

  /// What was not seen that should have been; none if all was.
  static func losses(
    unread: UInt64, missedLooks: UInt64, lostIntervals: UInt64, lostGrowths: UInt64
  ) -> [String] {
    var result: [String] = []
    func add(_ count: UInt64, _ words: String) {
      if count > 0 { result.append("\(Quantities.count(count)) \(words)") }
    }
    add(unread, "readings of processes failed, most often because they exited just then")
    add(missedLooks, "looks were left out because the machine or drip was too busy")
    add(lostIntervals, "looks could not be stored; what grew is stored all the same")
    add(lostGrowths, "stretches of growth were not stored, for the store could not be written for too long")
    return result
  }
}

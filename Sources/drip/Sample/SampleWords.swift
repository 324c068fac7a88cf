import Profile
import Store
import Trends

/// What `drip sample` says of itself, to people.
enum SampleWords {
  static func beginning(interval: Double, path: String, _ retention: Retention) -> [String] {
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
        + "shared memory; and no call sites, which `drip dump -p PID` shows",
    ]
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

import Profile

/// Phrases that more than one report uses.
enum Wording {
  /// "redis-server (pid 1234), worker (pid 1235)"; a profile of no process is the kernel's.
  static func targets(_ profile: HeapProfile) -> String {
    profile.processes.isEmpty
      ? "the kernel"
      : profile.processes.map { "\(PlainText.clean($0.command)) (pid \($0.pid))" }.joined(separator: ", ")
  }

  /// "1 object", "1,234 objects"
  static func counted(_ count: UInt64, _ noun: String) -> String {
    "\(Quantities.count(count)) \(noun)\(count == 1 ? "" : "s")"
  }

  /// "growing 1.2 KiB/s", "shrinking 3 B/s", "steady"
  static func growth(_ bytesPerSecond: Double) -> String {
    let rate = Quantities.rate(bytesPerSecond)
    switch rate.first {
    case "+": return "growing \(rate.dropFirst())"
    case "-": return "shrinking \(rate.dropFirst())"
    default: return rate == "?" ? "growth unknown" : "steady"
    }
  }

  /// Stands for the frames that a stack without room for them would have.
  static let missingStack = "(no room for this stack)"

  /// Why a stack does not reach its bottom; nil if it does.
  static func remark(_ end: StackEnd) -> String? {
    switch end {
    case .complete: nil
    case .truncated: "cut at the depth limit"
    case .unreadable: "cut at memory that could not be read"
    case .broken: "cut: no call frame information and no frame pointer from here on"
    case .unmapped: "cut in code that had just been loaded"
    case .missing: missingStack
    }
  }
}

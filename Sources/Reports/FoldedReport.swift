public import Profile

/// Folded stacks for flame graphs: "process;root;…;leaf bytes", one line a stack, root first.
public enum FoldedReport {
  /// Values are outstanding bytes; sites with none are left out, equal stacks are added up, lines are sorted.
  public static func render(_ profile: HeapProfile) -> String {
    var sums: [String: UInt64] = [:]
    let commands = Dictionary(profile.processes.map { ($0.pid, $0.command) }) { first, _ in first }
    for site in profile.sites where site.outstandingBytes > 0 {
      var names = ["\(commands[site.pid] ?? "process")-\(site.pid)"]
      if site.frames.isEmpty { names.append("(no room for this stack)") }
      names += site.frames.reversed().map { $0.function ?? CallSite.place($0) }
      let line = names.map(clean).joined(separator: ";")
      sums[line, default: 0] = sums[line, default: 0].addingReportingOverflow(site.outstandingBytes).partialValue
    }
    return sums.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined()
  }

  /// The format's own separators may not stand in a name.
  private static func clean(_ name: String) -> String {
    String(name.map { $0 == ";" ? ":" : ($0 == "\n" || $0 == "\r" || $0 == "\r\n" ? "?" : $0) })
  }
}

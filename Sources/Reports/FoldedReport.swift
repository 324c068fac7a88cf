public import Profile

/// Folded stacks for flame graphs: "process;root;…;leaf bytes", one line a stack, root first.
public enum FoldedReport {
  /// Values are outstanding bytes; sites with none are left out, equal stacks are added up, lines are sorted.
  public static func render(_ profile: HeapProfile) -> String {
    let commands = Dictionary(profile.processes.map { ($0.pid, $0.command) }) { first, _ in first }
    return render(profile.sites) { "\(commands[$0.pid] ?? "process")-\($0.pid)" }
  }

  /// The same of the kernel's part: below "kernel".
  public static func render(_ kernel: KernelProfile) -> String {
    render(kernel.profile.sites) { _ in "kernel" }
  }

  private static func render(_ sites: [Site], root: (Site) -> String) -> String {
    var sums: [String: UInt64] = [:]
    for site in sites where site.outstandingBytes > 0 {
      let line = stack(site, root: root(site))
      let (sum, overflow) = sums[line, default: 0].addingReportingOverflow(site.outstandingBytes)
      sums[line] = overflow ? .max : sum
    }
    return sums.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined()
  }

  private static func stack(_ site: Site, root: String) -> String {
    var names = [root]
    if site.frames.isEmpty {
      names.append(Wording.missingStack)
    } else if site.stackEnd != .complete, let remark = Wording.remark(site.stackEnd) {
      // Without it the frame at the cut would look like a bottom of the program.
      names.append(site.stackEnd == .missing ? remark : "(\(remark))")
    }
    names += site.frames.reversed().map { $0.function ?? CallSite.unnamed($0) }
    return names.map(clean).joined(separator: ";")
  }

  /// The format's separators may not stand in a name. Spaces may: readers split a line at its last one.
  private static func clean(_ name: String) -> String {
    let plain = PlainText.clean(name)
    return plain.contains(";") ? String(plain.map { $0 == ";" ? ":" : $0 }) : plain
  }
}

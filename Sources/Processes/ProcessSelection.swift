import Glibc

/// Which processes are meant: by number, by name, by control group, by container. Looked up again and again, so that
/// those that come later are found.
public struct ProcessSelection: Sendable, Hashable {
  public var pids: [Int32]
  /// Command names as in /proc/PID/comm, which the kernel cuts at 15 bytes; `*` stands for anything.
  public var commands: [String]
  /// Control groups, with all below them: as in /proc/PID/cgroup, or as a folder of the cgroup file system.
  public var groups: [String]
  /// Everything in the PID namespace of these processes: a container, seen from outside.
  public var containers: [Int32]

  public init(pids: [Int32] = [], commands: [String] = [], groups: [String] = [], containers: [Int32] = []) {
    self.pids = pids
    self.commands = commands
    self.groups = groups
    self.containers = containers
  }

  public var isEmpty: Bool { pids.isEmpty && !isOpen }
  /// More processes may come to belong to it.
  public var isOpen: Bool { !commands.isEmpty || !groups.isEmpty || !containers.isEmpty }

  /// The processes that belong to it now, those asked for by number first. Kernel threads, processes that have
  /// exited, and drip itself belong to none.
  public func current() -> [Int32] {
    guard isOpen else { return pids }
    var result = pids
    let namespaces = Set(containers.compactMap { try? ProcFile.link("/proc/\($0)/ns/pid") })
    let own = getpid()
    for pid in ProcFile.numbers(in: "/proc").sorted() where pid != own && !pids.contains(pid) {
      guard matches(pid, namespaces), (try? ProcFile.link("/proc/\(pid)/exe")) != nil else { continue }
      result.append(pid)
    }
    return result
  }

  private func matches(_ pid: Int32, _ namespaces: Set<String>) -> Bool {
    if !commands.isEmpty, let command = ProcessFiles.command(pid),
      commands.contains(where: { Self.matches(command, $0) })
    {
      return true
    }
    if !namespaces.isEmpty, let namespace = try? ProcFile.link("/proc/\(pid)/ns/pid"),
      namespaces.contains(namespace)
    {
      return true
    }
    guard !groups.isEmpty, let text = try? ProcFile.text("/proc/\(pid)/cgroup") else { return false }
    return groups.contains { Self.isIn($0, text) }
  }

  /// Whether a name fits a pattern. The pattern is cut as the kernel cuts names.
  static func matches(_ command: String, _ pattern: String) -> Bool {
    guard !pattern.utf8.contains(UInt8(ascii: "*")) else { return NamePattern.matches(command, pattern) }
    return Array(command.utf8) == Array(pattern.utf8.prefix(15))
  }

  /// Whether a process is in a group or below it. `text` is its /proc/PID/cgroup: lines of "number:controllers:path"
  /// (cgroups(7)).
  static func isIn(_ group: String, _ text: String) -> Bool {
    var path = group
    let root = "/sys/fs/cgroup"
    if path.hasPrefix(root) { path = String(path.dropFirst(root.count)) }
    while path.hasSuffix("/") && path.count > 1 { path.removeLast() }
    if !path.hasPrefix("/") { path = "/" + path }
    return text.split(separator: "\n").contains { line in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { return false }
      let own = String(parts[2])
      if path == "/" || own == path || own.hasPrefix(path + "/") { return true }
      // In version 1 each hierarchy is mounted under the name of its controllers, or under its own name; where
      // both versions are, systemd calls the second one's folder "unified".
      let folder =
        parts[1].isEmpty ? "unified" : parts[1].hasPrefix("name=") ? parts[1].dropFirst(5) : parts[1]
      let named = "/" + folder + own
      return named == path || named.hasPrefix(path + "/")
    }
  }

  /// Why nothing was found, with the next step.
  public func nothingFound() -> String {
    var parts: [String] = []
    if !commands.isEmpty {
      let names = Set(ProcFile.numbers(in: "/proc").compactMap { ProcessFiles.command($0) })
      let near = names.filter { name in
        commands.contains { name.contains($0.prefix(5)) || $0.contains(name) && !name.isEmpty }
      }
      parts.append(
        "no process is named \(commands.map(displayable).joined(separator: ", "))"
          + (near.isEmpty
            ? "" : " (there are: \(near.sorted().prefix(8).map(displayable).joined(separator: ", ")))"))
    }
    if !groups.isEmpty {
      parts.append(
        "no process is in the control group \(groups.map(displayable).joined(separator: ", ")); /proc/PID/cgroup "
          + "tells the name of a process's group")
    }
    if !containers.isEmpty { parts.append("no process is left in the container") }
    return parts.joined(separator: "; ")
  }
}

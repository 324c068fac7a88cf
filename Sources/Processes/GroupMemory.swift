/// What a control group has of memory, with all below it. Bytes.
public struct GroupMemory: Sendable, Hashable {
  public var current: UInt64
  public var swapped: UInt64
  /// Nil if it has none of its own.
  public var limit: UInt64?
  /// Processes that the kernel has killed in it for want of memory.
  public var killed: UInt64
}

/// Reads the memory counters of control groups, of either version (cgroups(7)).
public struct GroupMemoryReader: Sendable {
  private let unified: (root: String, point: String)?
  private let legacy: (root: String, point: String)?

  /// Finds where the hierarchies are mounted.
  public init() {
    let mounts = MemoryLimitReader.mounts((try? ProcFile.text("/proc/self/mountinfo")) ?? "")
    unified = mounts.first { $0.isUnified }.map { ($0.root, $0.point) }
    legacy = mounts.first { !$0.isUnified }.map { ($0.root, $0.point) }
  }

  /// The counters of a group by its path, as /proc/PID/cgroup has it; nil if it is gone or not accounted for.
  public func read(_ path: String) -> GroupMemory? {
    if let legacy, let below = MemoryLimitReader.below(path, root: legacy.root),
      let memory = Self.legacy(legacy.point + below)
    {
      return memory
    }
    guard let unified, let below = MemoryLimitReader.below(path, root: unified.root) else { return nil }
    return Self.unified(unified.point + below)
  }

  static func unified(_ folder: String) -> GroupMemory? {
    guard let current = number(folder + "/memory.current") else { return nil }
    return GroupMemory(
      current: current, swapped: number(folder + "/memory.swap.current") ?? 0,
      limit: number(folder + "/memory.max"), killed: field("oom_kill", folder + "/memory.events"))
  }

  static func legacy(_ folder: String) -> GroupMemory? {
    guard let current = number(folder + "/memory.usage_in_bytes") else { return nil }
    // "None" is the largest number of whole pages.
    let limit = number(folder + "/memory.limit_in_bytes").flatMap { $0 < 1 << 60 ? $0 : nil }
    let both = number(folder + "/memory.memsw.usage_in_bytes") ?? current
    return GroupMemory(
      current: current, swapped: both > current ? both - current : 0, limit: limit,
      killed: field("oom_kill", folder + "/memory.oom_control"))
  }

  private static func number(_ path: String) -> UInt64? {
    ProcFile.number(path).flatMap { UInt64(exactly: $0) }
  }

  /// Of lines "name value".
  private static func field(_ name: String, _ path: String) -> UInt64 {
    guard let text = try? ProcFile.text(path) else { return 0 }
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ")
      if parts.count == 2, parts[0] == name { return UInt64(parts[1]) ?? 0 }
    }
    return 0
  }
}

import Glibc
public import Profile

/// Finds the memory limits that hold for a process: its cgroup's and those above it, its own, the machine's.
public enum MemoryLimitReader {
  /// All limits that can be read. A limit that is not set is none; what cannot be read is left out.
  public static func read(pid: Int32) -> MemoryLimits {
    let status = (try? ProcFile.read("/proc/\(pid)/status", limit: 65_536)) ?? []
    let limits = (try? ProcFile.text("/proc/\(pid)/limits")) ?? ""
    var all = controlGroups(pid: pid)
    all += resources(
      limits, addressSpace: kilobytes("VmSize", in: status), data: kilobytes("VmData", in: status))
    if let machine = machine((try? ProcFile.read("/proc/meminfo", limit: 65_536)) ?? []) {
      all.append(machine)
    }
    return MemoryLimits(all)
  }

  // MARK: - The process's own (getrlimit(2))

  /// From the text of /proc/PID/limits; used bytes are of VmSize and VmData. The soft limit is the one that acts.
  static func resources(_ text: String, addressSpace: UInt64?, data: UInt64?) -> [MemoryLimit] {
    var result: [MemoryLimit] = []
    for line in text.split(separator: "\n") {
      for (name, source, used) in [
        ("Max address space", MemoryLimit.Source.addressSpace, addressSpace), ("Max data size", .data, data),
      ] where line.hasPrefix(name) {
        let soft = line.dropFirst(name.count).split(separator: " ").first
        if let soft, let bytes = UInt64(soft) {
          result.append(MemoryLimit(source: source, bytes: bytes, used: used ?? 0))
        }
      }
    }
    return result
  }

  // MARK: - The machine

  /// From /proc/meminfo. In use is what is not available: free memory and what the kernel would give back are not.
  static func machine(_ bytes: [UInt8]) -> MemoryLimit? {
    guard let total = kilobytes("MemTotal", in: bytes) else { return nil }
    let available = kilobytes("MemAvailable", in: bytes) ?? kilobytes("MemFree", in: bytes) ?? 0
    return MemoryLimit(source: .machine, bytes: total, used: total > available ? total - available : 0)
  }

  /// A line "name:  123 kB", in bytes.
  private static func kilobytes(_ name: String, in bytes: [UInt8]) -> UInt64? {
    guard let value = ProcFile.field(name, in: bytes)?.split(separator: " ").first else { return nil }
    return UInt64(value).map { $0 << 10 }
  }

  // MARK: - cgroups (cgroups(7))

  /// A hierarchy with a memory controller, and where the process stands in it.
  struct Hierarchy: Hashable {
    /// Version 2, the one hierarchy of all controllers.
    var isUnified: Bool
    var path: String
  }

  /// From the text of /proc/PID/cgroup: lines "number:controllers:path", number 0 and no controllers for version 2.
  static func hierarchies(_ text: String) -> [Hierarchy] {
    text.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3, fields[2].hasPrefix("/") else { return nil }
      if fields[0] == "0", fields[1].isEmpty { return Hierarchy(isUnified: true, path: String(fields[2])) }
      guard fields[1].split(separator: ",").contains("memory") else { return nil }
      return Hierarchy(isUnified: false, path: String(fields[2]))
    }
  }

  /// Where a hierarchy is mounted, and which of its folders is: from the text of mountinfo (proc(5)).
  static func mounts(_ text: String) -> [(isUnified: Bool, root: String, point: String)] {
    text.split(separator: "\n").compactMap { line in
      // Optional fields end with a lone dash.
      let halves = line.split(separator: " ").split(separator: "-", maxSplits: 1).map(Array.init)
      guard halves.count == 2, halves[0].count >= 5, halves[1].count >= 3 else { return nil }
      let (root, point) = (unescaped(halves[0][3]), unescaped(halves[0][4]))
      if halves[1][0] == "cgroup2" { return (true, root, point) }
      guard halves[1][0] == "cgroup", halves[1][2].split(separator: ",").contains("memory") else {
        return nil
      }
      return (false, root, point)
    }
  }

  /// Spaces and the like stand as three octal digits.
  private static func unescaped(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func controlGroups(pid: Int32) -> [MemoryLimit] {
    guard let groups = try? ProcFile.text("/proc/\(pid)/cgroup"),
      let mountinfo = try? ProcFile.text("/proc/self/mountinfo")
    else { return [] }
    let mounts = mounts(mountinfo)
    return hierarchies(groups).flatMap { hierarchy -> [MemoryLimit] in
      guard let mount = mounts.first(where: { $0.isUnified == hierarchy.isUnified }),
        let path = below(hierarchy.path, root: mount.root)
      else { return [] }
      return limits(of: path, under: mount.point, isUnified: hierarchy.isUnified)
    }
  }

  /// The path as seen under a mount of the folder `root`. In a container /proc/PID/cgroup tells of the namespace of the
  /// reader, and the path of a process outside of it begins with "/..": that cannot be read.
  static func below(_ path: String, root: String) -> String? {
    guard !path.split(separator: "/").contains("..") else { return nil }
    if root == "/" || !path.hasPrefix(root) { return path }
    let rest = path.dropFirst(root.count)
    return rest.isEmpty ? "/" : rest.hasPrefix("/") ? String(rest) : path
  }

  /// The tightest limits from a group up to the mount: each group's holds for all below it.
  static func limits(of path: String, under mount: String, isUnified: Bool) -> [MemoryLimit] {
    let (limit, use) =
      isUnified
      ? ("memory.max", "memory.current") : ("memory.limit_in_bytes", "memory.usage_in_bytes")
    var parts = path.split(separator: "/")
    var result: [MemoryLimit] = []
    while true {
      let folder = ([mount] + parts.map(String.init)).joined(separator: "/")
      if let bytes = number("\(folder)/\(limit)"), bytes < unlimited {
        result.append(MemoryLimit(source: .cgroup, bytes: bytes, used: number("\(folder)/\(use)") ?? 0))
      }
      if parts.isEmpty { return result }
      parts.removeLast()
    }
  }

  /// Version 1 says "none" by the largest number of whole pages; no machine has that much.
  private static let unlimited: UInt64 = 1 << 60

  /// "max" is no number, as it should be.
  private static func number(_ path: String) -> UInt64? {
    ProcFile.number(path).flatMap { UInt64(exactly: $0) }
  }
}

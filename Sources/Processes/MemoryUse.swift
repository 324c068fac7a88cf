/// What a process has of memory, as the kernel tells it.
public struct MemoryUse: Sendable, Hashable {
  /// Resident memory in bytes, and the part of it that is anonymous. Exact to some pages a thread.
  public var resident: UInt64
  public var anonymous: UInt64
  public var threads: Int

  /// Reads /proc/PID/status; nil if the process is gone or has no memory of its own. One small file: cheap enough for
  /// every poll, unlike smaps.
  public static func read(pid: Int32) -> MemoryUse? {
    guard let status = try? ProcFile.read("/proc/\(pid)/status", limit: 65_536) else { return nil }
    return MemoryUse(status)
  }

  init?(_ status: [UInt8]) {
    func number(_ name: String) -> UInt64? {
      ProcFile.field(name, in: status)?.split(separator: " ").first.flatMap { UInt64($0) }
    }
    guard let resident = number("VmRSS"), let anonymous = number("RssAnon") else { return nil }
    self.resident = resident << 10
    self.anonymous = anonymous << 10
    threads = Int(number("Threads") ?? 1)
  }
}

import Glibc

/// CPU time of processes.
public enum ProcessCPU {
  /// Seconds that a process and its threads have used, in user and kernel mode, to some 10 ms (/proc/PID/stat, fields
  /// 14 and 15); nil if it is gone.
  public static func seconds(pid: Int32) -> Double? {
    guard let text = try? ProcFile.read("/proc/\(pid)/stat", limit: 4096),
      let close = text.lastIndex(of: UInt8(ascii: ")"))
    else { return nil }
    let fields = text[(close + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
    // Field 3 is the first.
    guard fields.count > 12, let user = UInt64(String(decoding: fields[11], as: UTF8.self)),
      let system = UInt64(String(decoding: fields[12], as: UTF8.self))
    else { return nil }
    return Double(user &+ system) / Double(max(sysconf(Int32(_SC_CLK_TCK)), 1))
  }
}

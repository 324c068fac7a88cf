import Glibc

/// The memory of another process, by /proc/PID/mem (proc(5)).
public enum ProcessMemory {
  /// The eight bytes at an address, little-endian; nil if they cannot be read.
  public static func word(pid: Int32, at address: UInt64) -> UInt64? {
    bytes(pid: pid, at: address, count: 8).map {
      $0.withUnsafeBytes { UInt64(littleEndian: $0.load(as: UInt64.self)) }
    }
  }

  /// So many bytes at an address; nil if they cannot all be read.
  public static func bytes(pid: Int32, at address: UInt64, count: Int) -> [UInt8]? {
    guard count >= 0, let offset = off_t(exactly: address) else { return nil }
    let descriptor = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: count)
    return pread(descriptor, &bytes, count, offset) == count ? bytes : nil
  }
}

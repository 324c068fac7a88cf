import Glibc

/// The memory of another process, by /proc/PID/mem (proc(5)).
public enum ProcessMemory {
  /// The eight bytes at an address, little-endian; nil if they cannot be read.
  public static func word(pid: Int32, at address: UInt64) -> UInt64? {
    guard let offset = off_t(exactly: address) else { return nil }
    let descriptor = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var word: UInt64 = 0
    let count = withUnsafeMutableBytes(of: &word) { pread(descriptor, $0.baseAddress, $0.count, offset) }
    return count == MemoryLayout<UInt64>.size ? UInt64(littleEndian: word) : nil
  }
}

import CLinuxShims
import Glibc

/// The memory of another process, read in bulk: by process_vm_readv, or /proc/PID/mem where that is not to be had.
public struct TargetMemory: ~Copyable {
  private let pid: Int32
  private let pagemap: Int32
  private let memory: Int32
  private var usesCall = true
  private var canScan = true

  public static let pageSize = UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 4096))

  /// Opens it, or says why not.
  public init(pid: Int32) throws(StopRefusal) {
    self.pid = pid
    memory = open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
    let code = errno
    pagemap = open("/proc/\(pid)/pagemap", O_RDONLY | O_CLOEXEC)
    guard memory >= 0 || pagemap >= 0 else { throw StopRefusal.explain(pid: pid, code: code) }
  }

  deinit {
    close(memory)
    close(pagemap)
  }

  /// Reads at most `limit` words into the front of `words`, as many as lie together; how many. 0: the first page cannot
  /// be read. The address is a multiple of 8.
  public mutating func read(
    at address: UInt64, limit: Int, into words: inout [UInt64]
  ) throws(StopRefusal) -> Int {
    let length = min(limit, words.count) * 8
    while true {
      let (pid, memory, usesCall) = (pid, memory, usesCall)
      let count = words.withUnsafeMutableBytes { bytes -> Int64 in
        guard let start = bytes.baseAddress else { return 0 }
        if usesCall { return clinux_read_memory(pid, address, start, length) }
        let count = pread(memory, start, length, off_t(truncatingIfNeeded: address))
        return count < 0 ? Int64(-errno) : Int64(count)
      }
      if count >= 0 { return Int(count) / 8 }
      switch Int32(-count) {
      case EINTR: continue
      case ESRCH: throw .gone(pid: pid)
      case EPERM where usesCall && memory >= 0, ENOSYS where usesCall && memory >= 0: self.usesCall = false
      case EPERM, EACCES, ENOSYS: throw StopRefusal.explain(pid: pid, code: Int32(-count))
      default: return 0
      }
    }
  }

  /// The pages in [start, end) that hold something, in memory or swapped out, as ranges. `ownOnly`: none that is still
  /// just as in a file. Never touched parts of a large reservation cost next to nothing from Linux 6.7 on, and 8 bytes a
  /// page before. What the kernel does not tell of counts as used.
  public mutating func pagesInUse(from start: UInt64, to end: UInt64, ownOnly: Bool) -> [Range<UInt64>] {
    var result: [Range<UInt64>] = []
    func add(_ range: Range<UInt64>) {
      if let last = result.last, last.upperBound == range.lowerBound {
        result[result.count - 1] = last.lowerBound..<range.upperBound
      } else if !range.isEmpty {
        result.append(range)
      }
    }
    var address = start
    var found = [UInt64](repeating: 0, count: 512)
    while canScan, address < end {
      var reached: UInt64 = 0
      let count = clinux_pages_in_use(pagemap, address, end, ownOnly ? 1 : 0, &found, 256, &reached)
      guard count >= 0, reached > address else {
        canScan = false
        break
      }
      for pair in 0..<Int(count) { add(found[2 * pair]..<found[2 * pair + 1]) }
      address = reached
    }
    if address < end { readPagemap(from: address, to: end, ownOnly, add) }
    return result
  }

  private func readPagemap(
    from start: UInt64, to end: UInt64, _ ownOnly: Bool, _ add: (Range<UInt64>) -> Void
  ) {
    let size = Self.pageSize
    var entries = [UInt64](repeating: 0, count: 65_536)
    var address = start
    while address < end {
      let wanted = min(Int((end - address) / size), entries.count)
      let count = entries.withUnsafeMutableBytes {
        pread(pagemap, $0.baseAddress, wanted * 8, off_t(truncatingIfNeeded: address / size * 8))
      }
      guard count >= 8 else { return add(address..<end) }
      for entry in entries[..<(count / 8)] {
        // Bits 63: in memory; 62: swapped out; 61: of a file or shared (the kernel's pagemap.rst).
        if entry >> 62 != 0, !ownOnly || entry >> 61 & 1 == 0 { add(address..<(address + size)) }
        address += size
      }
    }
  }

  /// Bytes that a scan of a process will have to read, roughly: its anonymous and shared memory, in use or swapped out.
  public static func estimate(pid: Int32) -> UInt64 {
    guard let status = try? ProcFile.read("/proc/\(pid)/status", limit: 65_536) else { return 0 }
    return ["RssAnon", "RssShmem", "VmSwap"].reduce(0) { sum, name in
      let number = ProcFile.field(name, in: status)?.prefix { $0.isNumber } ?? ""
      return sum + (UInt64(number) ?? 0) * 1024
    }
  }
}

import Glibc

/// The files of /proc/PID that tell what a process is, with errors in drip's words.
enum ProcessFiles {
  static func stat(_ pid: Int32) throws(ProcessError) -> ProcessStat {
    let path = "/proc/\(pid)/stat"
    do throws(Errno) {
      guard let stat = ProcessStat(try ProcFile.read(path, limit: 65_536)) else { throw Errno(code: EINVAL) }
      return stat
    } catch {
      switch error.code {
      case ENOENT, ESRCH: throw .noSuchProcess(pid: pid)
      default: throw .unreadable(pid: pid, path: path, code: error.code)
      }
    }
  }

  /// The name without the escapes that stat puts into it.
  static func command(_ pid: Int32) -> String? {
    guard var bytes = try? ProcFile.read("/proc/\(pid)/comm", limit: 4096) else { return nil }
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  static func executable(_ pid: Int32) throws(ProcessError) -> String {
    let path = "/proc/\(pid)/exe"
    do throws(Errno) {
      return try ProcFile.link(path)
    } catch {
      switch error.code {
      case EACCES, EPERM: throw .notPermitted(pid: pid, what: "the executable")
      // No memory is left to have an executable.
      case ENOENT, ESRCH: throw .exited(pid: pid)
      default: throw .unreadable(pid: pid, path: path, code: error.code)
      }
    }
  }

  /// The executable's ELF class says 32 bits. What cannot be read is left for later to complain about.
  static func isThirtyTwoBit(_ pid: Int32) -> Bool {
    guard let head = try? ProcFile.read("/proc/\(pid)/exe", limit: 5) else { return false }
    return head == [0x7f, 0x45, 0x4c, 0x46, 1]
  }

  /// The process that a thread belongs to.
  static func leader(of pid: Int32) -> Int32? {
    guard let status = try? ProcFile.read("/proc/\(pid)/status", limit: 65_536) else { return nil }
    return ProcFile.field("Tgid", in: status).flatMap { Int32($0) }
  }

  /// The numbers of a process's threads, as far as they can be read.
  static func threads(_ pid: Int32) -> [Int32] { ProcFile.numbers(in: "/proc/\(pid)/task") }

  private static func stat(_ thread: Int32, of pid: Int32) -> ProcessStat? {
    (try? ProcFile.read("/proc/\(pid)/task/\(thread)/stat", limit: 65_536)).flatMap { ProcessStat($0) }
  }

  /// Whether a thread has ended, though it may still be listed.
  static func hasEnded(_ thread: Int32, of pid: Int32) -> Bool {
    stat(thread, of: pid)?.isZombie ?? true
  }

  /// Whether a thread sleeps so that not even a signal wakes it.
  static func isUninterruptible(_ thread: Int32, of pid: Int32) -> Bool {
    stat(thread, of: pid)?.state == UInt8(ascii: "D")
  }

  /// Whether a signal waits for a thread that it has a handler for and does not block. True if that cannot be told.
  static func hasSignalToHandle(_ thread: Int32, of pid: Int32) -> Bool {
    guard let status = try? ProcFile.read("/proc/\(pid)/task/\(thread)/status", limit: 65_536) else {
      return true
    }
    func mask(_ name: String) -> UInt64? {
      ProcFile.field(name, in: status).flatMap { UInt64($0, radix: 16) }
    }
    guard let own = mask("SigPnd"), let shared = mask("ShdPnd"), let blocked = mask("SigBlk"),
      let caught = mask("SigCgt")
    else { return true }
    return (own | shared) & ~blocked & caught != 0
  }

  /// The process that traces this one; 0 for none.
  static func tracer(of pid: Int32) -> Int32? {
    guard let status = try? ProcFile.read("/proc/\(pid)/status", limit: 65_536) else { return nil }
    return ProcFile.field("TracerPid", in: status).flatMap { Int32($0) }
  }
}

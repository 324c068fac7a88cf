import CLinuxShims
import Glibc
public import Profile

/// A process that drip holds on to by a pidfd: its number may be used again, the descriptor means it for ever.
public final class TargetProcess: Sendable {
  public let identity: Target
  /// The executable's file has been removed or replaced since it was started.
  public let isExecutableDeleted: Bool
  /// It sees other mounts than drip does; its paths are not ours.
  public let isInOtherMountNamespace: Bool
  /// Readable once the process has exited.
  public let exitDescriptor: Int32

  private init(identity: Target, isExecutableDeleted: Bool, isInOtherMountNamespace: Bool, descriptor: Int32) {
    self.identity = identity
    self.isExecutableDeleted = isExecutableDeleted
    self.isInOtherMountNamespace = isInOtherMountNamespace
    exitDescriptor = descriptor
  }

  deinit { close(exitDescriptor) }

  /// Opens a process by its number, or says why it cannot be watched.
  public static func open(pid: Int32) throws(ProcessError) -> TargetProcess {
    guard pid > 0 else { throw .noSuchProcess(pid: pid) }
    let stat = try readStat(pid)
    if stat.isKernelThread { throw .kernelThread(pid: pid, name: displayable(stat.command)) }
    if let leader = leader(of: pid), leader != pid { throw .thread(pid: pid, leader: leader) }
    if stat.state == "Z" || stat.state == "X" { throw .zombie(pid: pid) }
    let descriptor = clinux_pidfd_open(pid)
    guard descriptor >= 0 else {
      throw descriptor == -ESRCH ? .noSuchProcess(pid: pid) : .unreadable(pid: pid, path: "pidfd", code: -descriptor)
    }
    do throws(ProcessError) {
      let executable = try readExecutable(pid)
      // Read again behind the descriptor: it must be the process that was examined.
      guard try readStat(pid).startTicks == stat.startTicks else { throw .exited(pid: pid) }
      let suffix = " (deleted)"
      let isDeleted = executable.hasSuffix(suffix)
      return TargetProcess(
        identity: Target(
          pid: pid, startTicks: stat.startTicks, command: displayable(stat.command),
          executable: isDeleted ? String(executable.dropLast(suffix.count)) : executable),
        isExecutableDeleted: isDeleted,
        isInOtherMountNamespace: (try? ProcFile.link("/proc/\(pid)/ns/mnt")) != (try? ProcFile.link("/proc/self/ns/mnt")),
        descriptor: descriptor)
    } catch {
      close(descriptor)
      throw error
    }
  }

  public var hasExited: Bool { waitForExit(milliseconds: 0) }

  /// Waits for the exit; true once it has come.
  public func waitForExit(milliseconds: Int32) -> Bool {
    var descriptor = pollfd(fd: exitDescriptor, events: Int16(POLLIN), revents: 0)
    return poll(&descriptor, 1, milliseconds) > 0
  }

  private static func readStat(_ pid: Int32) throws(ProcessError) -> ProcessStat {
    do {
      guard let stat = ProcessStat(try ProcFile.text("/proc/\(pid)/stat")) else {
        throw ProcessError.unreadable(pid: pid, path: "/proc/\(pid)/stat", code: EINVAL)
      }
      return stat
    } catch let error as Errno {
      throw error.code == ENOENT || error.code == ESRCH
        ? .noSuchProcess(pid: pid) : .unreadable(pid: pid, path: "/proc/\(pid)/stat", code: error.code)
    } catch let error as ProcessError {
      throw error
    } catch {
      throw .noSuchProcess(pid: pid)
    }
  }

  private static func readExecutable(_ pid: Int32) throws(ProcessError) -> String {
    do throws(Errno) {
      return try ProcFile.link("/proc/\(pid)/exe")
    } catch {
      switch error.code {
      case EACCES, EPERM: throw .notPermitted(pid: pid, what: "the executable")
      case ENOENT, ESRCH: throw .exited(pid: pid)
      default: throw .unreadable(pid: pid, path: "/proc/\(pid)/exe", code: error.code)
      }
    }
  }

  /// /proc/TID exists for threads too, though it is not listed.
  private static func leader(of pid: Int32) -> Int32? {
    guard let status = try? ProcFile.text("/proc/\(pid)/status") else { return nil }
    let line = status.split(separator: "\n").first { $0.hasPrefix("Tgid:") }
    return line.flatMap { Int32($0.dropFirst(5).drop { $0 == "\t" || $0 == " " }) }
  }
}

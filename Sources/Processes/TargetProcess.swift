import CLinuxShims
import Glibc
public import Profile

/// A process that drip holds on to by a pidfd: its number may be used again, the descriptor means it for ever.
public final class TargetProcess: Sendable {
  /// Which process it is; the command is cleaned for display, the executable is the path without " (deleted)".
  public let identity: Target
  /// The executable's file has been removed or replaced since it was started.
  public let isExecutableDeleted: Bool
  /// Which namespaces it does not share with drip.
  public let namespaces: Namespaces
  /// Readable once the process has exited. Belongs to this object: do not close it.
  public let exitDescriptor: Int32

  /// It sees other mounts than drip does; its paths are not ours.
  public var isInOtherMountNamespace: Bool { namespaces.isOtherMount }
  /// It knows itself, and names its files, by another number.
  public var isInOtherPIDNamespace: Bool { namespaces.isOtherPID }
  /// True once it has exited, whether or not its parent has collected it.
  public var hasExited: Bool { waitForExit(milliseconds: 0) }

  private init(identity: Target, isExecutableDeleted: Bool, namespaces: Namespaces, descriptor: Int32) {
    self.identity = identity
    self.isExecutableDeleted = isExecutableDeleted
    self.namespaces = namespaces
    exitDescriptor = descriptor
  }

  deinit { close(exitDescriptor) }

  /// Opens a process by its number, or says why it cannot be watched.
  public static func open(pid: Int32) throws(ProcessError) -> TargetProcess {
    guard pid > 0 else { throw .noSuchProcess(pid: pid) }
    // A thread's number has a /proc folder too, but the kernel gives no pidfd for it.
    if let leader = ProcessFiles.leader(of: pid), leader != pid { throw .thread(pid: pid, leader: leader) }
    let descriptor = clinux_pidfd_open(pid)
    guard descriptor >= 0 else {
      throw descriptor == -ESRCH
        ? .noSuchProcess(pid: pid) : .unreadable(pid: pid, path: "the process descriptor", code: -descriptor)
    }
    do throws(ProcessError) {
      return try examine(pid, descriptor)
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// All is read behind the descriptor, and the process was still there after it: it was of that process.
  private static func examine(_ pid: Int32, _ descriptor: Int32) throws(ProcessError) -> TargetProcess {
    let stat = try ProcessFiles.stat(pid)
    let command = ProcessFiles.command(pid) ?? stat.command
    if stat.isKernelThread { throw .kernelThread(pid: pid, name: displayable(command)) }
    if stat.isZombie { throw .zombie(pid: pid) }
    let executable = DeletedMark.split(try ProcessFiles.executable(pid))
    if ProcessFiles.isThirtyTwoBit(pid) { throw .thirtyTwoBit(pid: pid, executable: executable.path) }
    let identity = Target(
      pid: pid, startTicks: stat.startTicks, command: displayable(command), executable: executable.path)
    let namespaces = Namespaces.compare(pid: pid)
    guard !isReadable(descriptor, milliseconds: 0) else { throw .exited(pid: pid) }
    return TargetProcess(
      identity: identity, isExecutableDeleted: executable.isDeleted, namespaces: namespaces,
      descriptor: descriptor)
  }

  /// Waits for the exit, for ever if `milliseconds` is negative; true once it has come.
  public func waitForExit(milliseconds: Int32) -> Bool {
    Self.isReadable(exitDescriptor, milliseconds: milliseconds)
  }

  private static func isReadable(_ descriptor: Int32, milliseconds: Int32) -> Bool {
    let deadline = monotonicSeconds() + Double(milliseconds) / 1000
    var left = milliseconds
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let count = poll(&entry, 1, left)
      guard count < 0, errno == EINTR else { return count > 0 }
      // A signal is no answer; wait for the rest of the time.
      if milliseconds >= 0 { left = Int32(max((deadline - monotonicSeconds()) * 1000, 0)) }
    }
  }
}

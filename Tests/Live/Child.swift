import Foundation
import Glibc

/// A child process with pipes on all three ends, killed and collected when it goes out of sight. By posix_spawn
/// and waitpid: Foundation's Process needs a run loop to learn of an exit, which tests do not have.
final class Child {
  let pid: pid_t
  private let input: CInt
  private let output: CInt
  private let errors: CInt
  private var pending: [UInt8] = []
  private var pendingErrors: [UInt8] = []
  private var isInputOpen = true
  private var exitStatus: Int32?

  struct SpawnError: Error { let code: CInt, executable: String }

  init(_ executable: String, _ arguments: [String] = [], environment: [String: String] = [:]) throws {
    var ends: [[CInt]] = []
    for _ in 0..<3 {
      var pair: [CInt] = [0, 0]
      guard pipe(&pair) == 0 else { throw SpawnError(code: errno, executable: "pipe") }
      for end in pair { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      ends.append(pair)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[0][0], 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1][1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[2][1], 2)
    var merged = ProcessInfo.processInfo.environment
    for (key, value) in environment { merged[key] = value }
    var words: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for word in words + variables { free(word) } }
    var child: pid_t = 0
    // Dispatch's threads block most signals, and a child inherits that: it could not be asked to end.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let code = posix_spawn(&child, executable, &actions, &attributes, &words, &variables)
    for end in [ends[0][0], ends[1][1], ends[2][1]] { close(end) }
    input = ends[0][1]
    output = ends[1][0]
    errors = ends[2][0]
    pid = child
    guard code == 0 else {
      for end in [input, output, errors] { close(end) }
      exitStatus = -1
      throw SpawnError(code: code, executable: executable)
    }
  }

  deinit {
    if exitStatus == nil {
      kill(pid, SIGKILL)
      _ = wait()
    }
    closeInput()
    close(output)
    close(errors)
  }

  /// False once it has exited (and been collected).
  var isRunning: Bool {
    guard exitStatus == nil else { return false }
    var status: CInt = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return true }
    exitStatus = Self.decode(status)
    return false
  }

  /// The exit status; a signal's number negated.
  @discardableResult
  func wait() -> Int32 {
    if let exitStatus { return exitStatus }
    var status: CInt = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    let decoded = Self.decode(status)
    exitStatus = decoded
    return decoded
  }

  private static func decode(_ status: CInt) -> Int32 {
    status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
  }

  func signal(_ number: CInt) { if exitStatus == nil { kill(pid, number) } }

  /// Asks it to end and waits until it has.
  func stop() {
    signal(SIGTERM)
    wait()
  }

  func send(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(input, $0.baseAddress, bytes.count) }
  }

  func closeInput() {
    if isInputOpen { close(input) }
    isInputOpen = false
  }

  /// The next line of standard output; nil at its end.
  func line() -> String? { Self.nextLine(output, &pending) }

  /// The next line of standard error; nil at its end.
  func errorLine() -> String? { Self.nextLine(errors, &pendingErrors) }

  private static func nextLine(_ descriptor: CInt, _ pending: inout [UInt8]) -> String? {
    while true {
      if let end = pending.firstIndex(of: 10) {
        let line = String(decoding: pending[..<end], as: UTF8.self)
        pending.removeFirst(end + 1)
        return line
      }
      guard readMore(descriptor, &pending) else {
        guard !pending.isEmpty else { return nil }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
      }
    }
  }

  /// False at the end.
  private static func readMore(_ descriptor: CInt, _ into: inout [UInt8]) -> Bool {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      into += chunk[..<count]
      return true
    }
  }

  /// Reads lines until one satisfies the condition.
  @discardableResult
  func waitForLine(_ condition: (String) -> Bool) -> String? {
    while let line = line() { if condition(line) { return line } }
    return nil
  }

  @discardableResult
  func waitForErrorLine(_ condition: (String) -> Bool) -> String? {
    while let line = errorLine() { if condition(line) { return line } }
    return nil
  }

  /// Everything that is left on standard output and error, and the exit status.
  func finish() -> (status: Int32, output: String, errors: String) {
    var isOutputOpen = true
    var areErrorsOpen = true
    while isOutputOpen || areErrorsOpen {
      var descriptors = [
        pollfd(fd: isOutputOpen ? output : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: areErrorsOpen ? errors : -1, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&descriptors, 2, -1) > 0 else { continue }
      if descriptors[0].revents != 0 { isOutputOpen = Self.readMore(output, &pending) }
      if descriptors[1].revents != 0 { areErrorsOpen = Self.readMore(errors, &pendingErrors) }
    }
    let status = wait()
    return (status, String(decoding: pending, as: UTF8.self), String(decoding: pendingErrors, as: UTF8.self))
  }
}

/// Runs a command to its end.
@discardableResult
func run(
  _ executable: String, _ arguments: [String], environment: [String: String] = [:]
) throws -> (status: Int32, output: String, errors: String) {
  let child = try Child(executable, arguments, environment: environment)
  child.closeInput()
  return child.finish()
}

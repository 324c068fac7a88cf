import Foundation
import Testing

/// A child process with pipes on all three ends, killed when it goes out of sight.
final class Child: @unchecked Sendable {
  let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private let errors = Pipe()
  private var pending: [UInt8] = []
  private var pendingErrors: [UInt8] = []

  /// `mergesErrors: false` keeps standard error on its own pipe, to be read by `errorLine`.
  init(_ executable: String, _ arguments: [String] = [], environment: [String: String] = [:]) throws {
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    var merged = ProcessInfo.processInfo.environment
    for (key, value) in environment { merged[key] = value }
    process.environment = merged
    process.standardInput = input
    process.standardOutput = output
    process.standardError = errors
    try process.run()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  var pid: Int32 { process.processIdentifier }

  func send(_ line: String) {
    input.fileHandleForWriting.write(Data((line + "\n").utf8))
  }

  func closeInput() { try? input.fileHandleForWriting.close() }

  /// The next line of standard output; nil at its end.
  func line() -> String? { Self.nextLine(output.fileHandleForReading, &pending) }

  /// The next line of standard error; nil at its end.
  func errorLine() -> String? { Self.nextLine(errors.fileHandleForReading, &pendingErrors) }

  private static func nextLine(_ handle: FileHandle, _ pending: inout [UInt8]) -> String? {
    while true {
      if let end = pending.firstIndex(of: 10) {
        let line = String(decoding: pending[..<end], as: UTF8.self)
        pending.removeFirst(end + 1)
        return line
      }
      let more = [UInt8](handle.availableData)
      if more.isEmpty {
        guard !pending.isEmpty else { return nil }
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
      }
      pending += more
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

  /// Everything that is left on standard output and error, and the exit status. A signal's number is negated.
  func finish() -> (status: Int32, output: String, errors: String) {
    let group = DispatchGroup()
    let errorBox = Box()
    group.enter()
    let handle = errors.fileHandleForReading
    DispatchQueue.global().async {
      errorBox.bytes = [UInt8](handle.readDataToEndOfFile())
      group.leave()
    }
    let rest = pending + [UInt8](output.fileHandleForReading.readDataToEndOfFile())
    group.wait()
    process.waitUntilExit()
    let status = process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    return (
      status, String(decoding: rest, as: UTF8.self),
      String(decoding: pendingErrors + errorBox.bytes, as: UTF8.self)
    )
  }

  private final class Box: @unchecked Sendable { var bytes: [UInt8] = [] }
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

import Foundation
import Glibc
import Symbolication

/// A running program that answers each line of its input with "call ADDRESS"; killed with the value.
final class Conversation {
  let pid: Int32
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var pending = ""

  init(_ arguments: [String]) throws {
    process.executableURL = URL(fileURLWithPath: arguments[0])
    process.arguments = Array(arguments.dropFirst())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    pid = process.processIdentifier
    guard try line() == "ready" else { throw Failure("\(arguments) is not ready") }
  }

  deinit {
    guard process.isRunning else { return }
    kill(pid, SIGKILL)
    process.waitUntilExit()
  }

  func ask(_ text: String) throws -> UInt64 {
    input.fileHandleForWriting.write(Data((text + "\n").utf8))
    let answer = try line().split(separator: " ")
    guard answer.count == 2, answer[0] == "call" else { throw Failure("answered \(answer)") }
    return UInt64(answer[1].replacing("0x", with: ""), radix: 16) ?? 0
  }

  private func line() throws -> String {
    while true {
      if let end = pending.firstIndex(of: "\n") {
        let line = String(pending[..<end])
        pending.removeSubrange(...end)
        return line
      }
      let part = output.fileHandleForReading.availableData
      guard !part.isEmpty else { throw Failure("the program ended") }
      pending += String(decoding: part, as: UTF8.self)
    }
  }
}

/// What a process has mapped, with the files' numbers.
func mappingsOf(_ pid: Int32) throws -> [SymbolMapping] {
  let text = try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
  return text.split(separator: "\n").compactMap { line in
    let fields = line.split(separator: " ", maxSplits: 5)
    let range = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
    guard range.count == 2, let offset = UInt64(fields[2], radix: 16) else { return nil }
    return SymbolMapping(
      start: range[0], end: range[1], fileOffset: offset, executable: fields[1].contains("x"),
      path: fields.count > 5 ? String(fields[5].drop { $0 == " " }) : "", inode: UInt64(fields[4]) ?? 0)
  }
}

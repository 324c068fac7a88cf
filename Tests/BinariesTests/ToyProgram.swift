import Foundation
import Testing

@testable import Binaries

/// A program built by gcc in a folder of its own, which goes when the value does.
final class ToyProgram {
  let path: String
  private let folder: URL

  init(_ source: String = "int main(void) { return 0; }", flags: [String] = [], strips: Bool = false) throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "drip-toy-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.path + "/toy"
    try source.write(toFile: path + ".c", atomically: true, encoding: .utf8)
    try Self.run("/usr/bin/gcc", ["-O1", "-o", path, path + ".c"] + flags)
    if strips { try Self.run("/usr/bin/strip", [path]) }
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  var elf: ELFFile { get throws { try ELFFile(try FileBytes(path: path)) } }
  var contents: [UInt8] {
    get throws {
      let file = try FileBytes(path: path)
      return try file.read(at: 0, count: Int(file.count))
    }
  }

  static var isPossible: Bool { access("/usr/bin/gcc", X_OK) == 0 && access("/usr/bin/strip", X_OK) == 0 }

  @discardableResult
  static func run(_ program: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return String(decoding: output, as: UTF8.self)
  }
}

/// Files of the system that tests read.
enum SystemFile {
  static let libc = "/lib/x86_64-linux-gnu/libc.so.6"
  static let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
  static let python = "/usr/bin/python3"

  static func exists(_ path: String) -> Bool { access(path, R_OK) == 0 }
  static func elf(_ path: String) throws -> ELFFile { try ELFFile(try FileBytes(path: path)) }
}

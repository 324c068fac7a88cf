import Foundation
import Glibc
import Symbolication

/// A directory of its own for each test, removed with the value.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/drip-symbols-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure("mkdtemp") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // Readable by everybody: some tests look at it from elsewhere.
    chmod(path, 0o755)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ text: String) throws -> String {
    let file = path + "/" + name
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    return file
  }

  /// Compiles a source text and returns the program's path.
  func build(_ source: String, _ name: String, language: String = "c", _ options: [String] = []) throws
    -> String
  {
    let file = try write("\(name).\(language)", source)
    let program = path + "/" + name
    let compiler = language == "c" ? "gcc" : "g++"
    try run(compiler, ["-g", "-O2", "-o", program, file] + options)
    return program
  }
}

struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Runs a tool to its end and returns its standard output.
@discardableResult
func run(_ tool: String, _ arguments: [String], input: String? = nil) throws -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [tool] + arguments
  let output = Pipe()
  process.standardOutput = output
  if let input {
    let pipe = Pipe()
    process.standardInput = pipe
    try process.run()
    pipe.fileHandleForWriting.write(Data(input.utf8))
    try pipe.fileHandleForWriting.close()
  } else {
    try process.run()
  }
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw Failure("\(tool) \(arguments) failed") }
  return String(decoding: data, as: UTF8.self)
}

/// A running program that prints "name address" lines and then "ready"; killed with the value.
final class Workload {
  let pid: Int32
  private(set) var addresses: [String: UInt64] = [:]
  private let process = Process()

  init(_ arguments: [String]) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    var text = Data()
    while !String(decoding: text, as: UTF8.self).hasSuffix("ready\n") {
      let part = output.fileHandleForReading.availableData
      guard !part.isEmpty else {
        throw Failure("\(arguments) ended early: \(String(decoding: text, as: UTF8.self))")
      }
      text += part
    }
    var target = process.processIdentifier
    for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count == 2 else { continue }
      if fields[0] == "pid" { target = Int32(fields[1]) ?? target }
      addresses[String(fields[0])] = UInt64(fields[1].dropFirst(2), radix: 16)
    }
    pid = target
  }

  deinit { kill() }

  func kill() {
    guard process.isRunning else { return }
    Glibc.kill(pid, SIGKILL)
    process.waitUntilExit()
  }

  func address(_ name: String) throws -> UInt64 {
    guard let address = addresses[name] else { throw Failure("no address \(name) in \(addresses)") }
    return address
  }

  func mappings() throws -> [SymbolMapping] { try mappingsOf(pid) }

  /// A symbolizer that knows the program's present mappings.
  func symbolizer() throws -> Symbolizer {
    let symbolizer = Symbolizer(pid: pid)
    symbolizer.update(mappings: try mappings())
    return symbolizer
  }
}

func buildID(_ file: String) throws -> String {
  let text = try run("readelf", ["-n", file])
  guard let id = text.split(separator: "\n").first(where: { $0.contains("Build ID: ") }) else {
    throw Failure("no build id in \(file)")
  }
  return String(id.split(separator: " ").last ?? "")
}

/// The line of a source text that carries a mark.
func line(of mark: String, in source: String) -> Int {
  (source.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains(mark) } ?? -1) + 1
}

extension String {
  var lastComponent: String { String(split(separator: "/").last ?? "") }
}

/// Calls through an inlined function, a static one and an exported one.
let callsInC = """
  #include <stdio.h>
  #include <stdlib.h>
  #include <unistd.h>
  volatile int sink;
  __attribute__((noinline)) void leaf(void) {
    printf("call %p\\n", __builtin_return_address(0));
  }
  static inline __attribute__((always_inline)) void inner(int x) {
    if (x > 0) leaf();  // MARK inner
    sink += x;
  }
  static inline __attribute__((always_inline)) void middle(int x) {
    inner(x + 1);  // MARK middle
    sink += x;
  }
  static __attribute__((noinline)) void hidden(int x) {
    middle(x);  // MARK hidden
    sink += x;
  }
  __attribute__((noinline)) int exported(int x) {
    printf("exported %p\\n", ({ __label__ here; here: &&here; }));
    hidden(x);  // MARK exported
    return sink;
  }
  static int compare(const void *left, const void *right) {
    static int once;
    if (!once++) printf("libc %p\\n", __builtin_return_address(0));
    return *(const int *)left - *(const int *)right;
  }
  int main(int argc, char **argv) {
    exported(argc);
    int values[] = {3, 1, 2};
    qsort(values, 3, sizeof *values, compare);
    void *anonymous = malloc(1);
    printf("heap %p\\npid %d\\nready\\n", anonymous, getpid());
    fflush(stdout);
    pause();
    return 0;
  }
  """

import Foundation
import Glibc
import Profile
import Testing

@testable import Symbolication

/// Python's functions: what the interpreter keeps of them, and how they join native frames.
@Suite struct PythonCodeTests {
  private static let interpreter = "/usr/bin/python3.11"
  static let hasPython = FileManager.default.isExecutableFile(atPath: interpreter)

  /// The memory of a live process, as the object under test reads it.
  private func memory(_ pid: Int32) -> PythonCode.Memory {
    { address, count in
      let descriptor = open("/proc/\(pid)/mem", O_RDONLY)
      guard descriptor >= 0 else { return nil }
      defer { close(descriptor) }
      var bytes = [UInt8](repeating: 0, count: count)
      return pread(descriptor, &bytes, count, off_t(address)) == count ? bytes : nil
    }
  }

  @Test(.enabled(if: hasPython)) func liveInterpreter() throws {
    let source = """
      class Shop:
        def buy(self):
          def inner(): pass
          return inner
      def größe(): pass
      def 𝒳名(): pass
      print('buy', hex(id(Shop.buy.__code__)))
      print('inner', hex(id(Shop().buy().__code__)))
      print('latin', hex(id(größe.__code__)))
      print('wide', hex(id(𝒳名.__code__)))
      print('type', hex(id(type(größe.__code__))))
      print('list', hex(id([])))
      print('ready', flush=True)
      import sys
      sys.stdin.read()
      import time
      time.sleep(1000)
      """
    let workload = try Workload([Self.interpreter, "-c", source])
    let memory = memory(workload.pid)
    let type = try workload.address("type")
    func code(_ name: String, type: UInt64) throws -> PythonCode? {
      let header = try #require(PythonCode.header(at: try workload.address(name), memory))
      return PythonCode(header: header, type: type, memory)
    }
    let buy = try #require(try code("buy", type: type))
    #expect(buy.name == "Shop.buy")
    #expect(buy.file == "<string>")
    #expect(buy.firstLine == 2)
    #expect(try code("inner", type: type)?.name == "Shop.buy.<locals>.inner")
    #expect(try code("latin", type: type)?.name == "größe")
    // Python writes identifiers in their compatibility form.
    #expect(try code("wide", type: type)?.name == "X名")
    #expect(try code("list", type: type) == nil, "another object")
    #expect(try code("buy", type: type + 8) == nil)
    #expect(PythonCode.header(at: 8, memory) == nil)
  }

  /// Every code unit of real modules, as the interpreter itself tells their lines.
  @Test(.enabled(if: hasPython)) func linesOfTheStandardLibrary() throws {
    let source = """
      import argparse, json.decoder, inspect, types
      def walk(code):
        yield code
        for one in code.co_consts:
          if isinstance(one, types.CodeType): yield from walk(one)
      for module in argparse, json.decoder, inspect:
        text = open(module.__file__).read()
        for code in walk(compile(text, 'x', 'exec')):
          lines = ','.join(str(p[0]) for p in code.co_positions())
          print(code.co_firstlineno, code.co_linetable.hex(), lines)
      """
    var units = 0
    for row in try run(Self.interpreter, ["-c", source]).split(separator: "\n") {
      let fields = row.split(separator: " ")
      try #require(fields.count == 3)
      let hex = Array(fields[1].utf8)
      let table = stride(from: 0, to: hex.count, by: 2).compactMap {
        UInt8(String(decoding: hex[$0..<($0 + 2)], as: UTF8.self), radix: 16)
      }
      let code = PythonCode(name: "f", file: "x", firstLine: Int(fields[0]) ?? 0, lineTable: table)
      let truth = fields[2].split(separator: ",").map { Int($0) }
      // Line 0, which a module's first instruction has, is none that can be shown.
      let lines = truth.indices.map { code.line(ofUnit: $0) }
      #expect(lines == truth.map { $0 == 0 ? nil : $0 })
      #expect(code.line(ofUnit: truth.count) == nil)
      units += truth.count
    }
    #expect(units > 10_000)
  }

  @Test func brokenTables() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let table = (0..<Int.random(in: 0...40)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let code = PythonCode(name: "f", file: "x", firstLine: .random(in: -5...5), lineTable: table)
      for unit in 0..<50 { _ = code.line(ofUnit: unit) }
    }
    #expect(PythonCode(name: "f", file: "x", firstLine: 7, lineTable: [0x12]).line(ofUnit: 0) == nil)
    #expect(PythonCode(name: "f", file: "x", firstLine: 7, lineTable: [0x80, 0]).line(ofUnit: 0) == 7)
    #expect(PythonCode(name: "f", file: "x", firstLine: 7, lineTable: [0x80, 0]).line(ofUnit: 1) == nil)
  }

  @Test func words() {
    let frame = PythonFrame(word: 1 << 63 | 1 << 62 | 5 << 44 | 0x7f12_3456_7898 >> 3)
    #expect(frame.code == 0x7f12_3456_7898)
    #expect(frame.unit == 4)
    #expect(frame.isEntry)
    #expect(frame.frame == Frame(address: 0x7f12_3456_7898, module: "[python]", offset: 0x7f12_3456_789c))
    #expect(PythonFrame(word: 1 << 63).unit == nil)
    #expect(PythonFrame(word: 1 << 63 | 0x3ffff << 44).unit == nil)
    #expect(!PythonFrame(word: 1 << 63).isEntry)
    let words: [UInt64] = [1 << 63 | 8, 1 << 63 | 16, 0x1000, 0x2000]
    #expect(Array(PythonFrames.native(words, isPython: true)) == [0x1000, 0x2000])
    #expect(Array(PythonFrames.native(words, isPython: false)) == words)
  }

  @Test func merging() {
    func native(_ names: String...) -> [Frame] { names.map { Frame(address: 1, function: $0) } }
    func python(_ names: String...) -> [PythonFrame] {
      names.map { name in
        var frame = PythonFrame(word: name.hasSuffix("!") ? 1 << 62 : 0)
        frame.frame = Frame(address: 2, function: name)
        return frame
      }
    }
    func merged(_ native: [Frame], _ python: [PythonFrame]) -> String {
      PythonFrames.merge(native: native, python: python).map { $0.function ?? "?" }.joined(separator: " ")
    }
    let eval = PythonFrames.interpreter
    #expect(
      merged(native("malloc", eval, "call", eval, "main"), python("a", "b!", "c!"))
        == "malloc a b! \(eval) call c! \(eval) main")
    #expect(merged(native("malloc", "main"), []) == "malloc main")
    // More interpreter frames than Python tells of, and fewer.
    #expect(merged(native(eval, eval), python("a")) == "a \(eval) \(eval)")
    #expect(merged(native(eval), python("a!", "b", "c!")) == "a! \(eval) b c!")
  }
}

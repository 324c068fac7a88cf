import Foundation
import Testing

private let interpreter = "/usr/bin/python3.11"
private let hasPython = FileManager.default.isExecutableFile(atPath: interpreter)

/// The functions of CPython 3.11 in its stacks.
@Suite(
  "Python frames",
  .enabled(if: canRunLive && hasPython),
  .serialized)
struct PythonTests {
  private static let eval = "_PyEval_EvalFrameDefault"
  private static let script =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().path + "/Workloads/nested.py"

  private func line(of mark: String) throws -> Int {
    let lines = try String(contentsOfFile: Self.script, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    return try #require(lines.firstIndex { $0.hasSuffix("# MARK \(mark)") }) + 1
  }

  /// What it allocates goes to malloc, not into arenas of its own.
  private func start(_ wrapper: [String] = []) throws -> Child {
    let words = wrapper + [interpreter, Self.script, "20"]
    let program = try Child(words[0], Array(words.dropFirst()), environment: ["PYTHONMALLOC": "malloc"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    return program
  }

  private func dump(_ program: Child, pid: Int32, _ options: [String]) throws -> DumpJSON {
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(pid)", "--duration", "120s", "--format", "json"] + options)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    return try DumpJSON.parse(result.output)
  }

  /// Of the stacks that kept 20 objects of this size: the frames that are Python's, and those of the interpreter.
  private func stack(_ dump: DumpJSON, size: UInt64, end: String = "complete") throws -> [DumpJSON.Frame] {
    // bytearray adds a zero. The interpreter takes another way through itself once a call has been made often
    // enough, so that there may be two stacks with the same Python frames.
    let sites = dump.sites.filter { $0.allocs > 0 && $0.outstanding_bytes == $0.allocs * (size + 1) }
    #expect(sites.reduce(0) { $0 + $1.allocs } == 20)
    #expect(sites.allSatisfy { $0.stack_end == end })
    let stacks = sites.map { $0.frames.filter { $0.module == "[python]" || $0.function == Self.eval } }
    #expect(Set(stacks.map { $0.map { "\($0.function ?? "?"):\($0.line ?? 0)" } }).count == 1)
    return try #require(stacks.first)
  }

  private func expectOuter(_ dump: DumpJSON) throws {
    let frames = try stack(dump, size: 5000)
    #expect(frames.map(\.function) == ["leaf", "middle", Self.eval, "outer", "<module>", Self.eval])
    let python = frames.filter { $0.module == "[python]" }
    #expect(python.map(\.line) == (try ["leaf", "middle", "outer", "module"].map(line)))
    #expect(python.allSatisfy { $0.file == Self.script })
  }

  @Test("names, files and lines, merged with native frames; C calls, generators, depth, threads")
  func merged() throws {
    let program = try start()
    let dump = try dump(program, pid: program.pid, ["--python"])
    try expectOuter(dump)
    let generator = try stack(dump, size: 6000)
    #expect(
      generator.map(\.function) == ["Shop.generate", Self.eval, "Shop.consume", "<module>", Self.eval])
    #expect(generator.first?.line == (try line(of: "generate")))
    let deep = try stack(dump, size: 7000).map(\.function)
    #expect(deep == ["leaf"] + [String](repeating: "deep", count: 81) + ["<module>", Self.eval])
    // 128 of 153 find room; that the rest is missing is told.
    let deeper = try stack(dump, size: 9000, end: "truncated").map(\.function)
    #expect(deeper == ["leaf"] + [String](repeating: "deep", count: 127) + [Self.eval])
    // Thread.run calls through C.
    let thread = try stack(dump, size: 8000).map(\.function)
    #expect(Array(thread.prefix(4)) == ["leaf", "in_thread", Self.eval, "Thread.run"])
    #expect(Array(thread.suffix(2)) == ["Thread._bootstrap", Self.eval])
    #expect(dump.losses["truncated_stacks"] == 40)
    #expect(dump.losses["total"] == 0)
  }

  @Test("without the option there are native frames only")
  func off() throws {
    let program = try start()
    let dump = try dump(program, pid: program.pid, [])
    #expect(!dump.sites.contains { $0.frames.contains { $0.module == "[python]" } })
    #expect(dump.totals.allocs > 80)
    #expect(dump.sites.contains { $0.frames.contains { $0.function == Self.eval } })
  }

  @Test("every backend loads it", arguments: ["session", "multi", "perf"])
  func backends(backend: String) throws {
    let program = try start()
    let drip = try Child(
      DripBinary.path,
      [
        "dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json", "--python", "--backend",
        backend,
      ]
    )
    guard drip.waitForErrorLine({ $0.contains("attached") }) != nil else {
      // An older kernel has no such backend; that python makes no difference is what counts.
      let plain = try DripBinary.run(
        "dump", "-p", "\(program.pid)", "--duration", "100ms", "--backend", backend)
      #expect(plain.status != 0)
      return
    }
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    drip.signal(SIGINT)
    try expectOuter(try DumpJSON.parse(drip.finish().output))
  }

  @Test("in a PID namespace of its own, where threads have other numbers")
  func container() throws {
    let outer = try start(["/usr/bin/unshare", "--pid", "--fork", "--mount-proc"])
    let children = try String(
      contentsOfFile: "/proc/\(outer.pid)/task/\(outer.pid)/children", encoding: .utf8)
    let pid = try #require(children.split(separator: " ").first.flatMap { Int32($0) })
    try expectOuter(try dump(outer, pid: pid, ["--python"]))
    outer.closeInput()
    _ = outer.finish()
  }

  @Test("a program without Python is counted as ever, and the report says so")
  func otherProgram() throws {
    let program = try Child(DripBinary.workload("one_site"), ["30", "100"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(["dump", "-p", "\(program.pid)", "--duration", "120s", "--python"])
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0)
    #expect(result.output.contains("no CPython 3.11 was found"))
    #expect(result.output.contains("30 objects"))
    let refused = try DripBinary.run("dump", "-p", "\(program.pid)", "--python", "--check-stacks", "10")
    #expect(refused.status != 0 && refused.errors.contains("--check-stacks cannot"))
  }
}

import Foundation
import Testing

/// Frames of code that the target wrote into its own memory.
@Suite("generated code", .enabled(if: canRunLive), .serialized)
struct GeneratedCodeTests {
  private func dump(_ drip: Child) throws -> DumpJSON {
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    return try DumpJSON.parse(result.output)
  }

  private func expectNames(_ dump: DumpJSON, count: UInt64, inner: String) throws {
    let site = try #require(dump.sites.max { $0.allocs < $1.allocs })
    #expect(site.allocs == count)
    #expect(site.outstanding_bytes == count * 100)
    #expect(site.stack_end == "complete")
    let names = site.frames.compactMap(\.function)
    let first = try #require(names.firstIndex(of: inner), "\(names)")
    #expect(Array(names[first...].prefix(4)) == [inner, "jit outer(int)", "site_jit", "main"])
    #expect(site.frames[first].module == nil)
  }

  @Test("machine code in anonymous memory is named from the perf map; the last name counts")
  func jit() throws {
    let program = try Child(DripBinary.workload("jit"), ["25", "100"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let arguments = ["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json"]
    let first = try DripBinary.attach(arguments)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE 25" } != nil)
    try expectNames(try dump(first), count: 25, inner: "jit:*inner page.js:1")
    let second = try DripBinary.attach(arguments)
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE 25" } != nil)
    try expectNames(try dump(second), count: 25, inner: "replaced")
    program.closeInput()
    #expect(program.finish().status == 0)
  }

  @Test("a process in namespaces of its own: its number and its /tmp are others there")
  func container() throws {
    // Opened before: the workloads may be below /tmp.
    let command =
      "exec 3<\(DripBinary.workload("jit")) && mount -t tmpfs none /tmp && exec /proc/self/fd/3 7 100"
    let outer = try Child(
      "/usr/bin/unshare", ["--mount", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", command])
    try #require(outer.waitForLine { $0 == "READY" } != nil)
    let children = try String(
      contentsOfFile: "/proc/\(outer.pid)/task/\(outer.pid)/children", encoding: .utf8)
    let pid = try #require(children.split(separator: " ").first)
    let drip = try DripBinary.attach(["dump", "-p", "\(pid)", "--duration", "120s", "--format", "json"])
    outer.send("GO")
    try #require(outer.waitForLine { $0 == "DONE 7" } != nil)
    try expectNames(try dump(drip), count: 7, inner: "jit:*inner page.js:1")
    outer.closeInput()
    _ = outer.finish()
  }

  /// Twelve thousand stacks and more, each through up to 24 frames of generated code between functions of C without frame
  /// pointers. The program tells what it has called; drip's chains must be the same ones, as often.
  @Test("whole chains through generated code are those that the program went through; libdwfl's are the same")
  func chains() throws {
    let rounds: UInt64 = 15
    let program = try Child(DripBinary.workload("jit_stacks"), ["\(rounds)"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(program.pid)", "--duration", "120s", "--format", "json", "--check-stacks", "1"])
    program.send("GO")
    try #require(program.waitForLine { $0 == "DONE" } != nil)
    var told: [String: UInt64] = [:]
    for _ in 0..<1000 {
      let line = try #require(program.line())
      told[String(line.dropFirst("CHAIN ".count)), default: 0] += rounds
    }
    let dump = try dump(drip)
    program.closeInput()
    #expect(program.finish().status == 0)
    var found: [String: UInt64] = [:]
    var complete: UInt64 = 0
    for site in dump.sites {
      let names = site.frames.map { $0.function ?? "?" }
      guard let first = names.firstIndex(of: "allocate") else { continue }
      if site.stack_end == "complete" { complete += site.allocs }
      let own = names[first...].prefix { $0 != "main" }
      found[own.reversed().joined(separator: ";"), default: 0] += site.allocs
    }
    let all = rounds * 1000
    let right = found.reduce(0) { $0 + min($1.value, told[$1.key] ?? 0) }
    let checks = try #require(dump.stack_checks)
    print(
      "jit_stacks: \(all) stacks, \(complete) complete, \(right) as the program says; "
        + "\(checks.checked) checked, \(checks.agreed) agree, \(checks.disagreed) differ, "
        + "\(checks.not_comparable) not comparable \(checks.not_comparable_reasons.filter { $0.value > 0 })")
    #expect(complete * 1000 >= all * 999)
    #expect(right * 1000 >= all * 999, "\(found.filter { told[$0.key] == nil }.prefix(3))")
    #expect(told.count > 900)
    #expect(found.values.reduce(0, +) == all)
    #expect(checks.disagreed == 0)
    #expect(checks.checked + checks.dropped >= 10_000)
  }
}

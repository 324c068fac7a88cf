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
}

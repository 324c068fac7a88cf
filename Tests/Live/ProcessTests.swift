import Foundation
import Testing

/// What becomes of processes while they are watched, and how their functions are probed.
@Suite("processes that change", .enabled(if: canRunLive), .serialized)
struct ProcessTests {
  private func start(_ workload: String, _ arguments: [String] = []) throws -> Child {
    let program = try Child(DripBinary.workload(workload), arguments)
    try #require(program.waitForLine { $0 == "READY" } != nil)
    return program
  }

  private func answer(_ program: Child, _ text: String) throws {
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix(text) } != nil)
  }

  private func end(_ drip: Child) throws -> DumpJSON {
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    return try DumpJSON.parse(result.output)
  }

  @Test("two processes in one capture, each with its own counts; one exits, the other goes on")
  func two() throws {
    let first = try start("one_site", ["50", "1000"])
    let second = try start("one_site", ["70", "100"])
    let drip = try DripBinary.attach([
      "dump", "-p", "\(first.pid),\(second.pid)", "--duration", "120s", "--format", "json",
    ])
    try answer(first, "DONE")
    first.closeInput()
    _ = first.finish()
    try answer(second, "DONE")
    let dump = try end(drip)
    let counts = Dictionary(grouping: dump.sites, by: \.pid).mapValues { $0.reduce(0) { $0 + $1.allocs } }
    #expect(counts == [first.pid: 50, second.pid: 70])
    let states = Dictionary(uniqueKeysWithValues: dump.processes.map { ($0.pid, $0.state) })
    #expect(states == [first.pid: "exited", second.pid: "running"])
  }

  @Test("exec: what the old program had is gone, the new one is counted")
  func exec() throws {
    let program = try start("execer")
    let drip = try DripBinary.attach(["top", "-p", "\(program.pid)", "-n", "50", "100ms"])
    try answer(program, "DONE 1")
    #expect(drip.waitForLine { $0.contains("site_before") } != nil)
    try answer(program, "READY 2")
    // Until drip has found the new program, a round may go unseen.
    var isSeen = false
    for _ in 0..<50 where !isSeen {
      try answer(program, "DONE 2")
      for _ in 0..<12 where !isSeen { isSeen = drip.line()?.contains("site_after") == true }
    }
    #expect(isSeen)
    var block: [String] = []
    while let line = drip.line(), !line.hasPrefix("drip top") { block.append(line) }
    while let line = drip.line(), !line.hasPrefix("drip top") { block.append(line) }
    #expect(block.contains { $0.contains("site_after") } && !block.contains { $0.contains("site_before") })
    drip.signal(SIGINT)
    #expect(drip.finish().status == 0)
  }

  @Test("a library that is loaded later, and unloaded: its frames are named")
  func plugin() throws {
    let program = try start("dlopener", [DripBinary.workload("plugin.so")])
    let drip = try DripBinary.attach(["top", "-p", "\(program.pid)", "100ms"])
    try answer(program, "LOADED")
    // Two readings: the second began after the library was there.
    for _ in 0..<2 { try #require(drip.waitForLine { $0.hasPrefix("drip top") } != nil) }
    try answer(program, "DONE")
    #expect(
      drip.waitForLine {
        $0.contains("plugin_block") && $0.contains("plugin_allocate") && $0.contains("main")
      } != nil)
    try answer(program, "UNLOADED")
    for _ in 0..<2 { try #require(drip.waitForLine { $0.hasPrefix("drip top") } != nil) }
    #expect(drip.waitForLine { $0.contains("plugin_block") } != nil, "its rows keep their names")
    drip.signal(SIGINT)
    #expect(drip.finish().status == 0)
  }

  @Test("a library that is loaded later and has an allocator of its own: that is counted too")
  func pluginWithAllocator() throws {
    let program = try start("dlopener", [DripBinary.workload("plugin_mimalloc.so")])
    let drip = try DripBinary.attach(["top", "-p", "\(program.pid)", "100ms"])
    try answer(program, "LOADED")
    for _ in 0..<2 { try #require(drip.waitForLine { $0.hasPrefix("drip top") } != nil) }
    try answer(program, "DONE")
    let row = drip.waitForLine { $0.contains("plugin_block") && $0.contains("plugin_allocate") }
    // 25 of 48 bytes are left, 5 more were freed.
    #expect(row?.contains("1.17 KiB") == true && row?.contains(" 25 ") == true, "\(row ?? "no row")")
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0)
    #expect(result.errors.contains("libmimalloc"), "it is told: \(result.errors)")
  }

  @Test("malloc is probed from the inside once the trial is over, and not if that is not wanted")
  func oneTrap() throws {
    let cases: [([String], Bool)] = [([], true), (["--no-one-trap"], false), (["--backend", "multi"], true)]
    for (options, expected) in cases {
      let run = try TruthRun("truth", ["3", "300000", "4"], drip: options)
      run.expectExact("\(options)")
      #expect(run.dump.capture.one_trap.contains("malloc") == expected, "\(options)")
    }
  }
}

import Foundation
import Testing

/// Every way in which a user can be wrong, or the world can, has its own sentence and exit code.
@Suite("errors", .enabled(if: canRunLive), .serialized)
struct ErrorTests {
  private func expectRefusal(
    _ arguments: [String], status: Int32, contains words: String...,
    sourceLocation location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try run(DripBinary.path, arguments)
    #expect(result.status == status, "\(arguments): \(result.errors)", sourceLocation: location)
    for word in words {
      #expect(result.errors.contains(word), "\(arguments): \(result.errors)", sourceLocation: location)
    }
    #expect(!result.errors.contains("Fatal"), sourceLocation: location)
  }

  @Test("no such process")
  func noSuchProcess() throws {
    try expectRefusal(["dump", "-p", "4194303"], status: 3, contains: "no process", "4194303")
  }

  @Test("a kernel thread")
  func kernelThread() throws {
    try expectRefusal(["dump", "-p", "2"], status: 3, contains: "kernel thread")
  }

  @Test("not root")
  func notRoot() throws {
    // The folder may be closed to others: a copy is not.
    let folder = try TemporaryFolder()
    try run("/bin/chmod", ["755", folder.path])
    try FileManager.default.copyItem(atPath: DripBinary.path, toPath: folder.path + "/drip")
    let result = try run(
      "/usr/bin/setpriv",
      ["--reuid=65534", "--regid=65534", "--clear-groups", folder.path + "/drip", "dump", "-p", "1"])
    #expect(result.status == 3)
    #expect(result.errors.contains("root"), "\(result.errors)")
  }

  @Test("a kernel without type information")
  func noTypeInformation() throws {
    // An empty folder over /sys/kernel/btf, in a mount namespace of its own.
    let result = try run(
      "/usr/bin/unshare",
      ["-m", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" dump -p $$", DripBinary.path])
    #expect(result.status == 3)
    #expect(result.errors.contains("type information"), "\(result.errors)")
  }

  @Test("a static binary without an allocator")
  func noAllocator() throws {
    let program = try Child(DripBinary.workload("static_noalloc"))
    try #require(program.line() != nil)
    try expectRefusal(["dump", "-p", "\(program.pid)"], status: 3, contains: "allocator")
  }

  @Test("a stripped binary still gives module, offset and build id")
  func stripped() throws {
    let folder = try TemporaryFolder()
    try run("/usr/bin/strip", ["-o", folder.path + "/stripped", DripBinary.workload("one_site")])
    let program = try Child(folder.path + "/stripped", ["10", "100"])
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach([
      "dump", "-p", "\(program.pid)", "--duration", "60s", "--format", "json",
    ])
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    drip.signal(SIGINT)
    let dump = try DumpJSON.parse(drip.finish().output)
    #expect(dump.totals.outstanding_bytes == 1000)
    let frame = try #require(dump.sites.first?.frames.first { $0.module?.hasSuffix("/stripped") == true })
    #expect(frame.function == nil)
    #expect(frame.offset > 0)
    #expect(frame.build_id?.isEmpty == false)
  }

  @Test("the target exits during the watch: the result is still printed")
  func exitsDuring() throws {
    let program = try Child(DripBinary.workload("exiter"), ["60000"])
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach([
      "dump", "-p", "\(program.pid)", "--duration", "60s", "--format", "json",
    ])
    program.send("GO")
    let result = drip.finish()
    #expect(result.status == 0, "\(result.errors)")
    let dump = try DumpJSON.parse(result.output)
    #expect(dump.capture.ended == "target exited")
    #expect(dump.totals.allocs > 0)
    #expect(dump.sites.contains { site in site.frames.contains { $0.function == "main" } })
  }

  @Test(
    "bad option values",
    arguments: [
      ["dump"], ["dump", "-p", "x"], ["dump", "-p", "0"], ["dump", "-p", "1", "--duration", "soon"],
      ["dump", "-p", "1", "--duration", "0s"], ["dump", "-p", "1", "--format", "xml"],
      ["dump", "-p", "1", "--sort", "colour"], ["dump", "-p", "1", "-n", "0"],
      ["dump", "-p", "1", "--min-size", "5abc"], ["dump", "-p", "1", "--min-size", "2k", "--max-size", "1k"],
      ["dump", "-p", "1", "--max-live", "0"], ["dump", "-p", "1", "--depth", "1000"],
      ["dump", "-p", "1", "--older", "20s", "--duration", "10s"], ["top", "-p", "1", "0"],
      ["top", "-p", "1", "1", "0"], ["nonsense"],
    ])
  func badOptions(arguments: [String]) throws {
    let result = try run(DripBinary.path, arguments)
    #expect(result.status == 2, "\(arguments): \(result.errors)")
    #expect(!result.errors.isEmpty)
  }

  @Test("an output file that cannot be written fails before the watch")
  func unwritable() throws {
    try expectRefusal(
      ["dump", "-p", "\(getpid())", "-o", "/nonexistent/folder/file", "--duration", "60s"], status: 4,
      contains: "cannot write", "/nonexistent/folder/file")
  }

  @Test("a reader that closes the pipe ends drip quietly")
  func closedPipe() throws {
    let program = try Child(DripBinary.workload("one_site"), ["10", "100"])
    try #require(program.line() == "READY")
    let result = try run(
      "/bin/bash",
      [
        "-c", "set -o pipefail; \"$0\" top -p \(program.pid) 100ms 20 2>/dev/null | head -n 1",
        DripBinary.path,
      ])
    #expect(result.status == 4)
  }

  @Test("a full table refuses, counts and says so; nothing stays behind")
  func tableFull() throws {
    let program = try Child(DripBinary.workload("one_site"), ["20000", "64"])
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach([
      "dump", "-p", "\(program.pid)", "--duration", "60s", "--format", "json", "--max-live", "1000",
    ])
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    drip.signal(SIGINT)
    let dump = try DumpJSON.parse(drip.finish().output)
    let refused = dump.losses["table_full"] ?? 0
    #expect(refused > 0)
    #expect(dump.totals.outstanding_count + refused == 20_000)
    #expect(dump.totals.outstanding_count >= 1000)
  }
}

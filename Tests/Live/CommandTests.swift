import Foundation
import Testing

/// What the commands print, on real targets.
@Suite("commands", .enabled(if: canRunLive), .serialized)
struct CommandTests {
  /// A workload with `count` objects of `size` outstanding, and drip attached since before they were made.
  private func dump(_ arguments: [String], count: Int = 50, size: Int = 1000) throws -> (
    status: Int32, output: String, errors: String
  ) {
    let program = try Child(DripBinary.workload("one_site"), ["\(count)", "\(size)"])
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach(["dump", "-p", "\(program.pid)", "--duration", "60s"] + arguments)
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    drip.signal(SIGINT)
    return drip.finish()
  }

  @Test(
    "a signal that comes when the time is just over does not cost the result; a second one ends the writing")
  func signalWhileWriting() throws {
    for signals in 1...2 {
      let program = try Child(DripBinary.workload("manysites"), ["4000"])
      try #require(program.waitForLine { $0 == "READY" } != nil)
      let drip = try DripBinary.attach(["dump", "-p", "\(program.pid)", "--duration", "3s", "-n", "4000"])
      program.send("GO")
      // More than the pipe holds, so that drip still writes.
      try #require(drip.line()?.hasPrefix("drip ") == true)
      drip.signal(SIGINT)
      if signals == 2 {
        try eventually("the first one has arrived") {
          let status = try String(contentsOfFile: "/proc/\(drip.pid)/status", encoding: .utf8)
          let caught = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }?.split(separator: "\t")
            .last
          return try #require(UInt64(caught ?? "", radix: 16)) & 1 << (UInt64(SIGINT) - 1) == 0
        }
        drip.signal(SIGINT)
      }
      let result = drip.finish()
      #expect(result.status == (signals == 1 ? 0 : -SIGINT))
      #expect(result.output.contains("losses") == (signals == 1), "the last of its lines")
      program.send("END")
    }
  }

  @Test("SIGINT ends the watch and prints the result", arguments: [SIGINT, SIGTERM])
  func interrupted(signal: Int32) throws {
    let program = try Child(DripBinary.workload("one_site"), ["50", "1000"])
    try #require(program.line() == "READY")
    let drip = try DripBinary.attach(["dump", "-p", "\(program.pid)", "--duration", "600s"])
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    drip.signal(signal)
    let result = drip.finish()
    #expect(result.status == 0)
    #expect(result.output.contains("50 objects"), "\(result.output)")
    #expect(result.output.contains("interrupted"))
    // Detached for good: the program frees and exits by itself.
    program.send("FREE")
    program.send("END")
    program.closeInput()
    #expect(program.finish().status == 0)
  }

  @Test("text names the site with file and line")
  func text() throws {
    let result = try dump([])
    #expect(result.output.contains("48.8 KiB"), "\(result.output)")
    #expect(result.output.contains("one_site.c:"), "\(result.output)")
    #expect(result.output.contains("main"))
    #expect(!result.output.contains("\u{1b}["), "no colour when it is not a terminal")
  }

  @Test("folded stacks end in bytes")
  func folded() throws {
    let result = try dump(["--format", "folded"])
    let line = try #require(result.output.split(separator: "\n").first { $0.contains("main") })
    #expect(line.hasSuffix(" 50000"))
    #expect(line.hasPrefix("one_site-"))
  }

  @Test("pprof is read by go tool pprof")
  func pprof() throws {
    let folder = try TemporaryFolder()
    let file = folder.path + "/heap.pb.gz"
    let result = try dump(["--format", "pprof", "-o", file])
    #expect(result.status == 0, "\(result.errors)")
    let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    let go = ["/usr/bin/go", "/usr/lib/go/bin/go"].first { FileManager.default.isExecutableFile(atPath: $0) }
    let top = try run(
      try #require(go, "golang-go is installed"),
      ["tool", "pprof", "-top", "-sample_index=inuse_space", "-unit=b", file],
      environment: ["HOME": folder.path, "PPROF_TMPDIR": folder.path])
    #expect(top.output.contains("50000"), "\(top.output)\(top.errors)")
    #expect(top.output.contains("main"))
  }

  @Test("size filters count only what passes")
  func sizeFilters() throws {
    let none = try DumpJSON.parse(try dump(["--format", "json", "--min-size", "1001"]).output)
    #expect(none.totals.outstanding_count == 0)
    let all = try DumpJSON.parse(
      try dump(["--format", "json", "--min-size", "1000", "--max-size", "1000"]).output)
    #expect(all.totals.outstanding_count == 50)
  }

  @Test("top prints plain blocks when it is not on a terminal")
  func top() throws {
    let program = try Child(DripBinary.workload("leaky_server"), ["500", "60"])
    let result = try DripBinary.run("top", "-p", "\(program.pid)", "300ms", "3")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.components(separatedBy: "CALL SITE").count == 4, "\(result.output)")
    #expect(result.output.contains("session_create"))
    #expect(!result.output.contains("\u{1b}["))
    program.stop()
  }

  @Test("doctor tries every probe type and examines the target")
  func doctor() throws {
    let program = try Child(DripBinary.workload("leaky_server"), ["10", "60"])
    let result = try DripBinary.run("doctor", "-p", "\(program.pid)")
    #expect(result.status == 0, "\(result.errors)")
    for word in [
      "uprobe session", "uprobe multi", "perf uprobe", "kprobe", "fentry", "glibc", "malloc", "stacks",
    ] {
      #expect(result.output.contains(word), "\(word): \(result.output)")
    }
    program.stop()
  }

  @Test(
    "help and version succeed",
    arguments: [["--help"], ["dump", "-h"], ["top", "-h"], ["doctor", "-h"], ["--version"]])
  func help(arguments: [String]) throws {
    let result = try run(DripBinary.path, arguments)
    #expect(result.status == 0)
    #expect(!result.output.isEmpty)
  }
}

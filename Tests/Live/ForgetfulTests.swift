import Capture
import Foundation
import LeakDetection
import Processes
import Profile
import Testing

/// Leaks injected into a program that has none: a preloaded library leaves frees out and counts them.
@Suite("injected leaks", .enabled(if: canRunLive), .serialized)
struct ForgetfulTests {
  /// The library's own count.
  struct Forgotten {
    var calls = 0
    var objects = 0
    var bytes = 0

    init(_ path: String, site: String) throws {
      for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
        let words = line.split(separator: " ")
        guard words.count == 4, words[0] == site else { continue }
        calls = try #require(Int(words[1]))
        objects = try #require(Int(words[2]))
        bytes = try #require(Int(words[3]))
        return
      }
      Issue.record("no line of \(site)")
    }
  }

  @Test("what redis-server was made to forget is what drip sees outstanding")
  func redis() throws {
    let folder = try TemporaryFolder()
    let truth = folder.path + "/truth"
    let port = try freePort()
    let server = try Child(
      "/usr/bin/redis-server",
      ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", folder.path],
      environment: [
        "LD_PRELOAD": DripBinary.workload("forgetful.so"), "FORGETFUL": "setKey=0.25,nobody=1",
        "FORGETFUL_TRUTH": truth,
      ])
    defer { server.stop() }
    server.waitForLine { $0.contains("Ready to accept connections") }
    // The values are overwritten again and again: nothing grows by itself.
    func write(_ count: Int) throws {
      let load = ["-p", "\(port)", "-t", "set", "-r", "50", "-d", "100", "-c", "1", "-n", "\(count)", "-q"]
      #expect(try run("/usr/bin/redis-benchmark", load).status == 0)
    }
    try write(2000)
    let before = try Forgotten(truth, site: "setKey")
    let drip = try DripBinary.attach([
      "dump", "-p", "\(server.pid)", "--duration", "120s", "--format", "json",
    ])
    try write(8000)
    let after = try Forgotten(truth, site: "setKey")
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0, "\(result.errors)")
    let dump = try DumpJSON.parse(result.output)

    let forgotten = after.objects - before.objects
    // Each of 8,000 values overwrites one, in two blocks.
    #expect((3200...4800).contains(forgotten), "\(forgotten) of \(after.calls - before.calls)")
    #expect(after.bytes - before.bytes > forgotten * 16)
    #expect(try Forgotten(truth, site: "nobody").calls == 0)
    // Values from before the attach are not known to drip, those of the last keys are alive.
    let outstanding = Int(dump.totals.outstanding_count)
    #expect((forgotten - 100...forgotten + 300).contains(outstanding), "\(outstanding) of \(forgotten)")
    #expect(dump.losses["total"] == 0)
  }

  /// Nothing, or what is forgotten and how often. DRIP_VERDICT_RUNS above 1 tries all.
  static let rules = [
    "", "setKey=0.02", "hashTypeSet=0.02", "popGenericCommand=0.02", "zslUpdateScore=0.02",
  ]

  /// Half an hour in twenty seconds: what is a second to redis-server passes as a minute and a half.
  @Test(
    "a leak injected into redis-server under load is found, and is all that is",
    arguments: VerdictTests.runs > 1 ? Self.rules : Array(Self.rules.prefix(2)))
  func found(rule: String) async throws {
    let folder = try TemporaryFolder()
    let truth = folder.path + "/truth"
    let port = try freePort()
    let server = try Child(
      "/usr/bin/redis-server",
      [
        "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", folder.path,
        "--zset-max-listpack-entries", "0",
      ],
      environment: [
        "LD_PRELOAD": DripBinary.workload("forgetful.so"), "FORGETFUL": rule, "FORGETFUL_TRUTH": truth,
      ])
    defer { server.stop() }
    server.waitForLine { $0.contains("Ready to accept connections") }
    let load = [
      "-p", "\(port)", "-t", "set,get,lpush,lpop,sadd,hset,spop,zadd", "-r", "100", "-d", "100", "-c", "5",
      "-q",
    ]
    // Every key is there before drip is.
    #expect(try run("/usr/bin/redis-benchmark", load + ["-n", "4000"]).status == 0)
    let traffic = try Child("/usr/bin/redis-benchmark", load + ["-n", "1000", "-l"])
    let target = try TargetProcess.open(pid: server.pid)
    let capture = try LiveCapture(
      target: target, plan: try TrialTests.plan(for: target), options: CaptureOptions(maxSites: 8192),
      cpus: 64)
    let site = String(rule.split(separator: "=").first ?? "")
    let before = try rule.isEmpty ? nil : Forgotten(truth, site: site)
    let (detector, last) = try await VerdictTests.watch(capture, speed: 90, seconds: 1800)
    let after = try rule.isEmpty ? nil : Forgotten(truth, site: site)
    await capture.detach()
    traffic.signal(SIGKILL)

    let verdicts = detector.verdicts()
    let guilty = verdicts.filter { $0.value.level >= .likely }
    guard let before, let after else {
      #expect(guilty.isEmpty, "\(guilty.values.map(\.evidence.outstandingCount))")
      return
    }
    let forgotten = after.objects - before.objects
    try #require(forgotten > 100, "\(forgotten) of \(after.calls - before.calls)")
    let worst = verdicts.values.sorted(by: Verdict.isGraver).first
    #expect(worst.map { $0.level >= .likely } == true)
    // With what the keys have now, which came from the same call sites.
    let held = guilty.values.reduce(0) { $0 + Int($1.evidence.outstandingCount) }
    #expect(
      held > forgotten * 6 / 10 && held < forgotten * 14 / 10 + 500,
      "\(held) held, \(forgotten) forgotten: \(guilty.values.map { "\($0.level) \($0.evidence.outstandingCount)" })"
    )
    #expect(last.losses.total == 0)
  }

  @Test("a program that another one starts forgets nothing and leaves the truth alone")
  func children() throws {
    let folder = try TemporaryFolder()
    let truth = folder.path + "/truth"
    try "mine\n".write(toFile: truth, atomically: true, encoding: .utf8)
    let result = try run(
      "/usr/bin/env", ["true"],
      environment: [
        "LD_PRELOAD": DripBinary.workload("forgetful.so"), "FORGETFUL": "setlocale=1",
        "FORGETFUL_TRUTH": truth,
      ])
    #expect(result.status == 0)
    #expect(try String(contentsOfFile: truth, encoding: .utf8) == "mine\n")
  }
}

import Foundation
import Glibc
import Testing

/// `drip sample` and `drip report` on real processes.
@Suite("sample", .enabled(if: canRunLive), .serialized)
struct SampleTests {
  private final class Folder {
    let path = NSTemporaryDirectory() + "drip-sample-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    var store: String { path + "/d/store.db" }

    init() { mkdir(path, 0o700) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private struct StoreJSON: Decodable {
    struct Run: Decodable {
      let ended: String?
      let intervals: Int
      let lost_intervals: Int
      let cpu_seconds: Double
    }
    struct Frame: Decodable { let function: String? }
    struct Suspicion: Decodable { let level: String }
    struct Site: Decodable {
      let outstanding_bytes: UInt64
      let frames: [Frame]
      let suspicion: Suspicion?
    }
    struct Snapshot: Decodable {
      let watched_seconds: Double
      let seen_seconds: Double
      let sample_bytes: UInt64
      let sites: [Site]
    }
    struct Growing: Decodable {
      let pid: Int32
      let command: String
      let ended: String?
      let bytes_per_second: Double
      let bytes_per_second_low: Double
      let snapshot: Snapshot?
    }
    let processes: Int
    let samples: Int
    let runs: [Run]
    let growing: [Growing]
  }

  private func report(_ store: String) throws -> StoreJSON {
    let result = try DripBinary.run("report", "--store", store, "--json", "-n", "1000")
    try #require(result.status == 0, "\(result.errors)")
    return try JSONDecoder().decode(StoreJSON.self, from: Data(result.output.utf8))
  }

  private func sample(_ folder: Folder, _ arguments: [String]) throws -> Child {
    let drip = try Child(
      DripBinary.path, ["sample", "--store", folder.store, "--interval", "200ms"] + arguments)
    _ = try #require(drip.waitForLine { $0.contains("event=start") }, "drip did not start")
    return drip
  }

  /// Grows by some 20 MB/s, all of it at one place.
  private func leaker() throws -> Child {
    let program = try Child(DripBinary.workload("grower"), ["4096", "5000"])
    try #require(program.line() == "READY")
    return program
  }

  @Test("a process that grows is told of, and is in the report while drip goes on; SIGTERM ends it cleanly")
  func growth() throws {
    let folder = Folder()
    let program = try leaker()
    let drip = try sample(folder, ["--budget", "0"])
    let line = try #require(drip.waitForLine { $0.contains("event=growth pid=\(program.pid) ") })
    #expect(line.contains("comm=grower"))
    let during = try report(folder.store)
    let one = try #require(during.growing.first { $0.pid == program.pid })
    #expect(one.command == "grower" && one.ended == nil && one.bytes_per_second_low > 0)
    #expect(one.snapshot == nil)
    #expect(during.runs[0].ended == nil && during.processes > 1)
    let pid = program.pid
    program.signal(SIGKILL)
    #expect(
      drip.waitForLine { $0.contains("event=growth-end pid=\(pid) ") && $0.contains("reason=exited") } != nil)
    drip.signal(SIGTERM)
    let end = drip.finish()
    #expect(end.status == 0)
    #expect(end.output.contains("event=end reason=interrupted"), "\(end.output)")
    #expect(end.errors.contains("of a CPU"))
    let after = try report(folder.store)
    #expect(after.runs[0].ended == "interrupted" && after.runs[0].lost_intervals == 0)
    #expect(after.growing.first { $0.pid == pid }?.ended == "exited")
    #expect(after.runs[0].cpu_seconds > 0)
  }

  @Test("its call sites are sampled within the budget, and nothing stays behind")
  func suspect() throws {
    let folder = Folder()
    let program = try leaker()
    // A budget that lets windows open, of a program that does little else.
    let drip = try sample(folder, ["--budget", "50%", "--sample-bytes", "64KiB"])
    let line = try #require(drip.waitForLine { $0.contains("event=suspect pid=\(program.pid) ") })
    #expect(line.contains("microseconds_per_hit="))
    // A few windows.
    let until = Date(timeIntervalSinceNow: 8)
    while Date() < until { usleep(100_000) }
    drip.signal(SIGINT)
    let end = drip.finish()
    #expect(end.status == 0, "\(end.errors)")
    let told = end.output.split(separator: "\n").first {
      $0.contains("event=suspect-end pid=\(program.pid) ")
    }
    #expect(told?.contains("reason=\"drip ends\"") == true, "\(end.output)")
    let one = try #require(
      try report(folder.store).growing.first { $0.pid == program.pid && $0.snapshot != nil })
    let snapshot = try #require(one.snapshot)
    #expect(snapshot.sample_bytes == 65_536 && snapshot.seen_seconds <= snapshot.watched_seconds)
    let names = snapshot.sites.first?.frames.compactMap(\.function) ?? []
    #expect(names.contains("grow_here"), "\(names)")
    // The program runs on without probes.
    #expect(kill(program.pid, 0) == 0)
  }

  @Test("killed at any moment, the store is whole, and the next run goes on with it; SIGHUP ends nothing")
  func killed() throws {
    let folder = Folder()
    let program = try leaker()
    let drip = try sample(folder, [])
    _ = try #require(drip.waitForLine { $0.contains("event=growth pid=\(program.pid) ") })
    drip.signal(SIGHUP)
    usleep(600_000)
    drip.signal(SIGKILL)
    #expect(drip.finish().status != 0)
    let first = try report(folder.store)
    #expect(first.runs.count == 1 && first.runs[0].ended == nil && first.runs[0].intervals > 10)
    #expect(first.growing.contains { $0.pid == program.pid })
    // No probe stays in the target: it would be killed by one whose program is gone, and goes on.
    #expect(kill(program.pid, 0) == 0)
    let second = try sample(folder, ["--budget", "0", "--duration", "1s"])
    #expect(second.finish().status == 0)
    let both = try report(folder.store)
    #expect(both.runs.map(\.ended) == ["its time is over", nil])
    // The same processes, not told twice.
    #expect(both.processes >= first.processes)
  }

  @Test("a full disk is told, looks go on, and what grew is stored once there is room")
  func full() throws {
    let folder = Folder()
    mkdir(folder.path + "/d", 0o700)
    try #require(mount("drip-test", folder.path + "/d", "tmpfs", 0, "size=1m,mode=700") == 0)
    defer { umount2(folder.path + "/d", Int32(MNT_DETACH)) }
    let drip = try sample(folder, ["--budget", "0"])
    let filler = folder.path + "/d/filler"
    try Data().write(to: URL(fileURLWithPath: filler))
    let file = try #require(FileHandle(forWritingAtPath: filler))
    while (try? file.write(contentsOf: Data(count: 4096))) != nil {}
    let failed = try #require(drip.waitForLine { $0.contains("event=store-failed") })
    #expect(failed.contains("no room is left"))
    let program = try leaker()
    _ = try #require(drip.waitForLine { $0.contains("event=growth pid=\(program.pid) ") })
    // Not unlinked: the programs that were started meanwhile may hold it.
    try file.truncate(atOffset: 0)
    let recovered = try #require(drip.waitForLine { $0.contains("event=store-recovered") })
    #expect(recovered.contains("lost_intervals="))
    drip.signal(SIGTERM)
    #expect(drip.finish().status == 0)
    let report = try report(folder.store)
    #expect(report.runs[0].lost_intervals > 0)
    #expect(report.growing.contains { $0.pid == program.pid })
  }

  @Test("what cannot be used is refused with the next step")
  func refused() throws {
    let folder = Folder()
    let none = try DripBinary.run("report", "--store", folder.store)
    #expect(none.status == 3 && none.errors.contains("drip sample --store"))
    let text = folder.path + "/text"
    try String(repeating: "text ", count: 100).write(toFile: text, atomically: true, encoding: .utf8)
    let foreign = try DripBinary.run("sample", "--store", text, "--budget", "0")
    #expect(foreign.status == 4 && foreign.errors.contains("not a store of drip's"))
    #expect(try DripBinary.run("sample", "--store", folder.store, "--interval", "0").status == 2)
    #expect(try DripBinary.run("sample", "--store", folder.store, "--budget", "5").status == 2)
    let drip = try sample(folder, ["--budget", "0"])
    let second = try DripBinary.run("sample", "--store", folder.store, "--budget", "0")
    #expect(second.status == 4 && second.errors.contains("process \(drip.pid) writes to"))
    drip.signal(SIGTERM)
    #expect(drip.finish().status == 0)
  }
}

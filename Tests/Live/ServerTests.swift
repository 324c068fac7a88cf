import Foundation
import Testing

/// Dumps of Debian's own servers while they serve load. None may lose an event; none may notice.
@Suite("real servers", .enabled(if: canRunLive), .serialized)
struct ServerTests {
  private func dump(_ pid: Int32, seconds: Int = 3) throws -> DumpJSON {
    let result = try DripBinary.run("dump", "-p", "\(pid)", "--duration", "\(seconds)s", "--format", "json")
    try #require(result.status == 0, "\(result.errors)")
    return try DumpJSON.parse(result.output)
  }

  private func expectWhole(_ dump: DumpJSON, _ name: String) {
    #expect(dump.losses["total"] == 0, "\(name): \(dump.losses)")
    #expect(dump.totals.allocs > 0, "\(name) allocated while it was watched")
    #expect(dump.totals.frees > 0, "\(name) freed while it was watched")
    let named = dump.sites.filter { site in site.frames.contains { $0.function != nil } }
    #expect(named.count * 2 > dump.sites.count, "\(name): most stacks have a name in them")
  }

  @Test("redis-server under redis-benchmark")
  func redis() throws {
    let redis = try Redis()
    let load = try redis.benchmark(seconds: 5)
    let dump = try dump(redis.pid)
    expectWhole(dump, "redis-server")
    load.stop()
    #expect(redis.isAlive)
  }

  @Test("python3")
  func python() throws {
    let python = try Child(
      "/usr/bin/python3",
      [
        "-c",
        """
        import sys
        print('READY', flush=True)
        kept = []
        while True:
            kept.append(bytearray(1000 + len(kept) % 7000))
            junk = [bytes(600 + i) for i in range(200)]
            if len(kept) > 20000: kept = []
        """,
      ])
    try #require(python.line() == "READY")
    expectWhole(try dump(python.pid), "python3")
    #expect(python.isRunning)
  }

  @Test("nginx under HTTP load")
  func nginx() throws {
    let nginx = try Nginx()
    let load = try nginx.load()
    defer { load.stop() }
    expectWhole(try dump(nginx.worker), "nginx")
    #expect(kill(nginx.worker, 0) == 0)
  }

  @Test("a PostgreSQL backend under queries")
  func postgres() throws {
    let postgres = try Postgres()
    let session = try postgres.session()
    expectWhole(try dump(session.backend), "postgres")
    #expect(session.client.isRunning)
  }

  @Test("attach and detach 200 times on a busy redis-server: no error on its side")
  func attachDetach() throws {
    let redis = try Redis()
    let load = try redis.benchmark(seconds: 600)
    for _ in 0..<200 {
      let result = try DripBinary.run(
        "dump", "-p", "\(redis.pid)", "--duration", "20ms", "--format", "folded", "--max-live", "65536",
        "--no-unwind-tables")
      try #require(result.status == 0, "\(result.errors)")
    }
    #expect(redis.isAlive)
    #expect(load.isRunning, "the load ran to the end without an error")
    load.stop()
    let errors = load.finish().errors
    #expect(!errors.lowercased().contains("error"), "\(errors)")
    #expect(try redis.command("PING").contains("PONG"))
  }
}

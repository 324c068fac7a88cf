import Foundation
import Testing

/// `dump --confirm` on real programs.
@Suite("dump --confirm", .enabled(if: canRunLive), .serialized)
struct ConfirmTests {
  /// The part of the JSON that is read here.
  struct Dump: Decodable {
    struct Holder: Decodable {
      let kind: String
      let name: String?
      let module: String?
      let text: String
    }
    struct Reachability: Decodable {
      let inspected: Int
      let unreachable: Int
      let only_from_suspects: Int
      let reachable: Int
      let only_from_unknown_heap: Int
      let holder: Holder?
      let stopped: Bool
      let scans: Int
      let stopped_seconds: Double
      let scanned_bytes: UInt64
    }
    struct Site: Decodable {
      let frames: [DumpJSON.Frame]
      let reachability: Reachability?
    }
    struct Capture: Decodable { let notes: [String] }
    let capture: Capture
    let sites: [Site]

    init(_ text: String) throws { self = try JSONDecoder().decode(Dump.self, from: Data(text.utf8)) }

    func reachability(in function: String) -> Reachability? {
      sites.first { $0.frames.contains { $0.function == function } }?.reachability
    }

    var inspected: Int { sites.reduce(0) { $0 + ($1.reachability?.inspected ?? 0) } }
    var lost: Int {
      sites.reduce(0) { $0 + ($1.reachability.map { $0.unreachable + $0.only_from_suspects } ?? 0) }
    }
  }

  private static let options = ["--confirm", "--confirm-sites", "1000", "--max-stop", "10s"]

  @Test(
    "the demo's leak is still held, by its own list; what the cache holds leads back to its variables",
    arguments: [true, false])
  func demo(stops: Bool) throws {
    let server = try Child(DripBinary.workload("leaky_server"), ["2000", "0"])
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(server.pid)", "--duration", "4s", "--format", "json"] + Self.options
        + (stops ? [] : ["--no-stop"]))
    let result = drip.finish()
    #expect(result.status == 0, "\(result.errors)")
    let dump = try Dump(result.output)
    let session = try #require(dump.reachability(in: "session_create"))
    #expect(session.inspected >= 100)
    #expect(session.stopped == stops && session.scans == (stops ? 1 : 2))
    #expect((session.stopped_seconds > 0) == stops)
    #expect(session.reachable == session.inspected)
    #expect(session.holder?.kind == "object")
    #expect(session.holder?.name?.hasPrefix("session_create") == true)
    // The newest sessions may have come after the first reading of the table, but they are known for what they are.
    #expect(session.only_from_unknown_heap == 0)
    if stops {
      let page = try #require(dump.reachability(in: "render_page"))
      let names = ["buckets", "newest", "oldest"].map { "reached from `\($0)` in leaky_server" }
      #expect(names.contains { page.holder?.text.hasSuffix($0) == true }, "\(page.holder?.text ?? "")")
    }
    server.stop()
  }

  @Test("redis-server with real data: nothing that it holds is called lost")
  func redis() throws {
    let redis = try Redis()
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(redis.pid)", "--duration", "8s", "--format", "json"] + Self.options)
    let load = try redis.benchmark(seconds: 5)
    let result = drip.finish()
    load.signal(SIGKILL)
    #expect(result.status == 0, "\(result.errors)")
    let dump = try Dump(result.output)
    print("reach: redis-server, \(dump.lost) of \(dump.inspected) called lost;", dump.capture.notes)
    #expect(dump.inspected > 500)
    #expect(dump.lost == 0)
    #expect(redis.isAlive)
    #expect(try redis.command("PING").contains("PONG"))
  }

  @Test("python3: what a list keeps is held, what an extension forgets is proved lost")
  func python() throws {
    let child = try Child(
      "/usr/bin/python3",
      [
        "-c",
        """
        import ctypes, sys
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.malloc.argtypes = [ctypes.c_size_t]
        libc.strdup.restype = ctypes.c_void_p
        print('READY', flush=True)
        sys.stdin.readline()
        kept = []
        for i in range(3000):
            kept.append(bytearray(600 + i % 100))
            kept.append({str(i): 'x' * 700})
            libc.strdup(b'forgotten')
        print('DONE', flush=True)
        sys.stdin.readline()
        """,
      ])
    try #require(child.line() == "READY")
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(child.pid)", "--duration", "60s", "--format", "json"] + Self.options)
    child.send("GO")
    try #require(child.line() == "DONE")
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0, "\(result.errors)")
    let dump = try Dump(result.output)
    let lost = dump.sites.filter { site in
      site.frames.contains { $0.function?.hasSuffix("strdup") == true }
    }
    let inspected = lost.reduce(0) { $0 + ($1.reachability?.inspected ?? 0) }
    let proved = lost.reduce(0) {
      $0 + ($1.reachability.map { $0.unreachable + $0.only_from_suspects } ?? 0)
    }
    print(
      "reach: python3, \(proved) of \(inspected) lost ones proved;",
      "\(dump.lost - proved) of \(dump.inspected - inspected) others called lost;", dump.capture.notes)
    #expect(inspected >= 200)
    #expect(proved * 100 >= inspected * 95)
    #expect(dump.inspected - inspected > 250)
    #expect(dump.lost == proved)
    child.send("END")
    #expect(child.wait() == 0)
  }

  @Test("--duty misses frees, so --confirm does not go with it")
  func usage() throws {
    let result = try DripBinary.run("dump", "-p", "1", "--confirm", "--duty", "100ms/1s")
    #expect(result.status == 2)
    #expect(result.errors.contains("--duty"))
  }
}

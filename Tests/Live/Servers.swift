import Foundation
import Testing

/// A TCP port on loopback that nobody listens on right now.
func freePort() throws -> Int {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(descriptor) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let port = withUnsafeMutablePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> in_port_t in
      guard bind(descriptor, pointer, length) == 0, getsockname(descriptor, pointer, &length) == 0 else {
        return 0
      }
      return UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr_in.self).pointee.sin_port.bigEndian
    }
  }
  try #require(port > 0)
  return Int(port)
}

/// A folder that is removed with its owner.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "drip-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Asks until the answer is yes, at most for ten seconds.
func eventually(_ what: Comment, _ condition: () throws -> Bool) throws {
  let deadline = Date().addingTimeInterval(10)
  while Date() < deadline {
    if (try? condition()) == true { return }
    sched_yield()
  }
  try #require(Bool(false), what)
}

/// Debian's redis-server on a free port, without persistence.
final class Redis {
  private let server: Child
  let port: Int

  /// Server and load share the last CPU: busy, and yet drip has a CPU to itself where there are two.
  private static let pinned = ["-c", "\(max(ProcessInfo.processInfo.processorCount - 1, 0))"]

  init() throws {
    port = try freePort()
    server = try Child(
      "/usr/bin/taskset",
      Self.pinned + [
        "/usr/bin/redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly",
        "no",
      ])
    server.waitForLine { $0.contains("Ready to accept connections") }
  }

  deinit { server.stop() }

  var pid: Int32 { server.pid }
  var isAlive: Bool { server.isRunning }

  /// Commands until killed, or for about so many seconds.
  func benchmark(seconds: Int) throws -> Child {
    let load = try Child(
      "/usr/bin/taskset",
      Self.pinned + [
        "/usr/bin/redis-benchmark", "-p", "\(port)", "-t", "set,get,lpush,hset", "-c", "10", "-r", "10000",
        "-n", "\(seconds * 20_000)", "-l",
        "-q",
      ])
    return load
  }

  func command(_ words: String...) throws -> String {
    try run("/usr/bin/redis-cli", ["-p", "\(port)"] + words).output
  }
}

/// Debian's nginx with one worker on a free port.
final class Nginx {
  private let folder = try? TemporaryFolder()
  private let server: Child
  let port: Int
  let worker: Int32

  init() throws {
    port = try freePort()
    let folder = try #require(folder)
    let configuration = """
      worker_processes 1;
      daemon off;
      user root;
      pid \(folder.path)/pid;
      error_log stderr;
      events { worker_connections 256; }
      http {
        access_log off;
        client_body_temp_path \(folder.path)/a; proxy_temp_path \(folder.path)/b;
        fastcgi_temp_path \(folder.path)/c; uwsgi_temp_path \(folder.path)/d; scgi_temp_path \(folder.path)/e;
        server { listen 127.0.0.1:\(port); location / { return 200 "ok\\n"; } }
      }
      """
    try configuration.write(toFile: folder.path + "/nginx.conf", atomically: true, encoding: .utf8)
    let server = try Child("/usr/sbin/nginx", ["-c", folder.path + "/nginx.conf"])
    self.server = server
    var child: Int32 = 0
    let master = server.pid
    try eventually("nginx started its worker") {
      let text = try String(contentsOfFile: "/proc/\(master)/task/\(master)/children", encoding: .utf8)
      child = Int32(text.split(separator: " ").first ?? "") ?? 0
      return child > 0
    }
    worker = child
  }

  deinit { server.stop() }

  /// Requests over new connections, until killed.
  func load() throws -> Child {
    let child = try Child(
      "/usr/bin/python3",
      [
        "-c",
        """
        import http.client
        n = 0
        while True:
            c = http.client.HTTPConnection('127.0.0.1', \(port), timeout=10)
            for _ in range(20):
                c.request('GET', '/' + 'x' * 200); c.getresponse().read()
            c.close()
            n += 1
            if n == 5: print('READY', flush=True)
        """,
      ])
    try #require(child.line() == "READY")
    return child
  }
}

/// Debian's PostgreSQL, a fresh cluster on a Unix socket.
final class Postgres {
  private let folder: TemporaryFolder
  private let server: Child

  init() throws {
    folder = try TemporaryFolder()
    let versions = try FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql").sorted()
    let programs = "/usr/lib/postgresql/\(try #require(versions.last))/bin"
    try run("/bin/chown", ["postgres", folder.path])
    let made = try run(
      "/sbin/runuser",
      ["-u", "postgres", "--", programs + "/initdb", "-D", folder.path + "/data", "-A", "trust", "--no-sync"])
    try #require(made.status == 0, "\(made.errors)")
    server = try Child(
      "/sbin/runuser",
      [
        "-u", "postgres", "--", programs + "/postgres", "-D", folder.path + "/data", "-k", folder.path, "-c",
        "listen_addresses=", "-c", "fsync=off",
      ])
    server.waitForErrorLine { $0.contains("ready to accept connections") }
  }

  deinit {
    if let text = try? String(contentsOfFile: folder.path + "/data/postmaster.pid", encoding: .utf8),
      let pid = Int32(text.split(separator: "\n").first ?? "")
    {
      kill(pid, SIGQUIT)
    }
    server.stop()
  }

  /// A client whose backend plans and runs queries, until killed.
  func session() throws -> (client: Child, backend: Int32) {
    let client = try Child(
      "/usr/bin/psql", ["-h", folder.path, "-U", "postgres", "-X", "-q", "-A", "-t", "postgres"])
    client.send("select pg_backend_pid();")
    let backend = Int32(client.line() ?? "") ?? 0
    try #require(backend > 0)
    let query =
      "do $$ begin for i in 1..100000000 loop execute 'select ' || i || ' + count(*) from pg_class a join pg_class b on a.oid = b.oid where a.relname like ''%' || i || '%'''; end loop; end $$;"
    client.send(query)
    return (client, backend)
  }
}

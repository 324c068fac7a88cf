import Foundation
import Glibc
import Profile
import Testing

@testable import Symbolication

/// Debug information from a real debuginfod on loopback. The variables are the process's, so one test at a time.
@Suite(.serialized, .enabled(if: DebugServer.isInstalled, "debuginfod is not installed"))
struct DebugServerTests {
  /// A stripped program whose debug file lies where only the server looks.
  private func program(_ scratch: Scratch, mark: String) throws -> (path: String, store: String) {
    let path = try scratch.build(callsInC + "\nint \(mark);\n", "calls")
    let store = scratch.path + "/store"
    try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: false)
    try run("objcopy", ["--only-keep-debug", path, store + "/calls.debug"])
    try run("strip", [path])
    return (path, store)
  }

  private func names(_ path: String, urls: String, _ cache: String) throws -> [String?] {
    try withVariables(["DEBUGINFOD_URLS": urls, "DEBUGINFOD_CACHE_PATH": cache]) {
      let workload = try Workload([path])
      return try workload.symbolizer().frames(for: workload.address("call")).map(\.function)
    }
  }

  @Test(.timeLimit(.minutes(2))) func fetched() throws {
    let scratch = try Scratch()
    let (path, store) = try program(scratch, mark: "fetched")
    let server = try DebugServer(store)
    try server.await(buildID(path), scratch)
    let cache = scratch.path + "/cache/debuginfod"
    #expect(try names(path, urls: "", cache) == [nil], "without the variable nobody is asked")
    #expect(!FileManager.default.fileExists(atPath: cache))
    #expect(try names(path, urls: server.url, cache) == ["inner", "middle", "hidden"])
    #expect(DebugServers.notes.contains { $0.contains("from the servers") })
    var status = stat()
    try #require(stat(cache, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o700)
  }

  @Test(.timeLimit(.minutes(2))) func cacheThatOthersMayWriteTo() throws {
    let scratch = try Scratch()
    #expect(mkdir(scratch.path + "/open", 0o777) == 0)
    chmod(scratch.path + "/open", 0o777)
    withVariables(["DEBUGINFOD_CACHE_PATH": scratch.path + "/open"]) {
      #expect(CacheDirectory.prepare() == "others may write to \(scratch.path)/open")
    }
    _ = try scratch.write("file", "")
    withVariables(["DEBUGINFOD_CACHE_PATH": scratch.path + "/file"]) {
      #expect(CacheDirectory.prepare()?.contains("no directory") == true)
    }
    withVariables(["DEBUGINFOD_CACHE_PATH": "relative"]) { #expect(CacheDirectory.prepare() != nil) }
    withVariables(["DEBUGINFOD_CACHE_PATH": "", "XDG_CACHE_HOME": "/x"]) {
      #expect(CacheDirectory.path == "/x/debuginfod_client")
    }
    withVariables(["DEBUGINFOD_CACHE_PATH": "", "XDG_CACHE_HOME": "", "HOME": scratch.path]) {
      #expect(CacheDirectory.path == scratch.path + "/.cache/debuginfod_client")
      #expect(mkdir(scratch.path + "/.debuginfod_client_cache", 0o700) == 0)
      #expect(CacheDirectory.path == scratch.path + "/.debuginfod_client_cache")
    }
  }

  /// What a server says need not be true: a file of another build is not used.
  @Test(.timeLimit(.minutes(2))) func wrongFile() throws {
    let scratch = try Scratch()
    let (path, store) = try program(scratch, mark: "wrong")
    let id = try buildID(path)
    let other = try scratch.build("int main(void) { return 0; }", "other")
    // The cache is asked before the servers are, so it can say what a hostile server would.
    let cache = scratch.path + "/cache"
    try FileManager.default.createDirectory(
      atPath: "\(cache)/\(id)", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    chmod(cache, 0o700)
    try run("cp", [other, "\(cache)/\(id)/debuginfo"])
    let nobody = "http://127.0.0.1:9"
    #expect(try names(path, urls: nobody, cache) == [nil])
    try run("cp", [store + "/calls.debug", "\(cache)/\(id)/debuginfo"])
    #expect(
      try names(path, urls: nobody, cache) == ["inner", "middle", "hidden"],
      "the right file in the same place is")
  }
}

/// A debuginfod that serves a directory on loopback; ends with the value.
final class DebugServer {
  static let isInstalled = FileManager.default.fileExists(atPath: "/usr/bin/debuginfod")
  let url: String
  private let process = Process()

  init(_ directory: String) throws {
    let port = try Self.freePort()
    url = "http://127.0.0.1:\(port)"
    process.executableURL = URL(fileURLWithPath: "/usr/bin/debuginfod")
    process.arguments = ["-F", "-p", "\(port)", "-d", ":memory:", directory]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DEBUGINFOD") }
    try process.run()
  }

  deinit {
    // Started from a thread that blocks the gentler signals.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Returns once the server has found the file; each try has a cache of its own, since a failure is kept there.
  func await(_ id: String, _ scratch: Scratch) throws {
    for attempt in 0..<10_000 {
      let found = withVariables([
        "DEBUGINFOD_URLS": url, "DEBUGINFOD_CACHE_PATH": "\(scratch.path)/try\(attempt)",
      ]) { try? run("debuginfod-find", ["debuginfo", id]) }
      if found != nil { return }
      guard process.isRunning else { break }
    }
    throw Failure("debuginfod does not serve \(id)")
  }

  private static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
      }
    }
    guard result == 0 else { throw Failure("no free port") }
    return UInt16(bigEndian: address.sin_port)
  }
}

/// Runs with variables of the environment set (or unset, if empty), and puts them back.
func withVariables<Result>(_ variables: [String: String], _ body: () throws -> Result) rethrows -> Result {
  let before = variables.keys.map { name in (name, getenv(name).map { String(cString: $0) }) }
  for (name, value) in variables { if value.isEmpty { unsetenv(name) } else { setenv(name, value, 1) } }
  defer { for (name, value) in before { if let value { setenv(name, value, 1) } else { unsetenv(name) } } }
  return try body()
}

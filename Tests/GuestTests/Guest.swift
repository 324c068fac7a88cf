import Foundation
import Glibc
import Testing

/// One kernel on which Tests/Guest/checks has run: booted in qemu, or, as "host", the one that runs here.
/// `make test` and `make test-kernels` get the kernels and tools ready and say which to use (DRIP_GUEST_KERNELS).
struct Guest {
  /// Debian's series, such as 6.1; or "host".
  let series: String
  /// The status of the checks, or of the guest that could not run them (Tests/Guest/guest).
  let status: Int32
  private let directory: URL

  static let host = "host"
  static let kernels =
    (ProcessInfo.processInfo.environment["DRIP_GUEST_KERNELS"] ?? "6.1").split(separator: " ").map(
      String.init)
  private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  private static let build = repository.appending(path: "build/guest")
  /// Long, for it costs only when something hangs: emulation on a busy machine is slow.
  private static let limitSeconds = 600

  /// Each kernel is booted once, for all tests.
  private static let all: [String: Guest] = Dictionary(
    uniqueKeysWithValues: kernels.filter { obstacle($0) == nil }.map { ($0, Guest(booting: $0)) })

  /// The kernel after its checks. Where it cannot be had and others can, prints the reason and cancels the test for
  /// this kernel.
  static func kernel(_ series: String) throws -> Guest {
    if let obstacle = obstacle(series) {
      print("skipping kernel \(series): \(obstacle)")
      try Test.cancel("kernel \(series): \(obstacle)")
    }
    let guest = try #require(all[series])
    try #require(guest.status == 0, "kernel \(series) ended with status \(guest.status)\n\(guest.console)")
    return guest
  }

  /// Skips a suite by name, with the reasons, where none of the kernels can be had.
  static var areAvailable: ConditionTrait {
    let obstacles = kernels.compactMap { series in obstacle(series).map { "kernel \(series): \($0)" } }
    guard obstacles.count == kernels.count else { return .enabled(if: true) }
    let reason = obstacles.joined(separator: "; ")
    print("skipping guest tests: \(reason)")
    return .disabled("\(reason)")
  }

  /// Why the kernel cannot be had here; nil if it can.
  private static func obstacle(_ series: String) -> String? {
    let files = FileManager.default
    guard files.fileExists(atPath: build.appending(path: "tools/drip").path) else {
      return "the tools are not built: make test-kernels"
    }
    if series == host { return geteuid() == 0 ? nil : "needs root" }
    let kernel = build.appending(path: "kernels/\(series)")
    if let reason = try? String(contentsOf: kernel.appending(path: "missing"), encoding: .utf8) {
      return reason.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    guard files.fileExists(atPath: kernel.appending(path: "complete").path) else {
      return "not fetched yet: make guest-\(series)"
    }
    for tool in ["qemu-system-x86_64", "busybox", "cpio"] where !isInstalled(tool) {
      return "\(tool) is not installed"
    }
    return nil
  }

  private static func isInstalled(_ tool: String) -> Bool {
    ["/usr/bin", "/bin", "/usr/local/bin"].contains {
      FileManager.default.isExecutableFile(atPath: $0 + "/" + tool)
    }
  }

  private init(booting series: String) {
    self.series = series
    let out = Self.build.appending(path: "runs/\(series)")
    let tools = Self.build.appending(path: "tools")
    if series == Self.host {
      directory = out
      try? FileManager.default.removeItem(at: out)
      try? FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
      status = Self.run("/bin/sh", [tools.appending(path: "checks").path, tools.path, out.path])
      return
    }
    directory = out.appending(path: "files")
    let kernel = Self.build.appending(path: "kernels/\(series)")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: tools.path)) ?? []
    status = Self.run(
      Self.repository.appending(path: "Tests/Guest/guest").path,
      [kernel.appending(path: "vmlinuz").path, out.path, "\(Self.limitSeconds)"]
        + names.map { tools.appending(path: $0).path } + [kernel.appending(path: "module/dripleak.ko").path])
  }

  /// Boots the first kernel that can be had with a script of its own; the status that comes out.
  static func status(ofChecks script: String, limitSeconds: Int) throws -> Int32 {
    let series = try #require(kernels.first { $0 != host }, "no guest among DRIP_GUEST_KERNELS")
    if let obstacle = obstacle(series) { try Test.cancel("kernel \(series): \(obstacle)") }
    let out = build.appending(path: "runs/harness")
    let checks = build.appending(path: "harness/checks")
    try FileManager.default.createDirectory(
      at: checks.deletingLastPathComponent(), withIntermediateDirectories: true)
    try script.write(to: checks, atomically: true, encoding: .utf8)
    return run(
      repository.appending(path: "Tests/Guest/guest").path,
      [
        build.appending(path: "kernels/\(series)/vmlinuz").path, out.path, "\(limitSeconds)", checks.path,
        build.appending(path: "tools/hostport").path,
      ])
  }

  /// Runs a command to its end; its exit status, or -1. Its output is ours.
  private static func run(_ executable: String, _ arguments: [String]) -> Int32 {
    var words: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    // Dispatch's threads block most signals, and a child would inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var child: pid_t = 0
    guard posix_spawn(&child, executable, nil, &attributes, &words, environ) == 0 else { return -1 }
    var status: CInt = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    return status & 0x7f == 0 ? status >> 8 & 0xff : -1
  }

  /// The last lines that the guest wrote to its console, and qemu's own.
  private var console: String {
    let out = Self.build.appending(path: "runs/\(series)")
    return ["console", "qemu.log"].map { name in
      let text = (try? String(contentsOf: out.appending(path: name), encoding: .utf8)) ?? ""
      return text.split(separator: "\n").suffix(40).joined(separator: "\n")
    }.joined(separator: "\n")
  }

  /// What the checks left under this name.
  func text(_ name: String) throws -> String {
    let url = directory.appending(path: name)
    return try #require(
      try? String(contentsOf: url, encoding: .utf8), "the checks left no \(name) on kernel \(series)")
  }

  /// The exit status of one step.
  func status(of step: String) throws -> Int32 {
    try #require(Int32(text(step + ".status").trimmingCharacters(in: .whitespacesAndNewlines)))
  }

  /// The version as numbers, for comparison: 6.12.117+deb12-amd64 is (6, 12).
  func version() throws -> (Int, Int) {
    let numbers = try text("release").split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    try #require(numbers.count == 2)
    return (numbers[0], numbers[1])
  }

  /// drip's names of the attach methods that this kernel must offer, best first.
  func backends() throws -> [String] {
    let version = try version()
    return (version >= (6, 13) ? ["session"] : []) + (version >= (6, 6) ? ["multi"] : []) + ["perf"]
  }
}

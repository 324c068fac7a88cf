import ArgumentParser
import Capture
import Glibc
import Libbpf
import Processes

/// What a hit of a probe costs a target on this machine, measured: drip starts itself as a program that only calls malloc
/// and free, and compares the time of these calls without and with its probes.
///
/// That program's stacks are shallow and all in the caches. `caution` makes up for deeper ones.
enum Calibration {
  static let caution = 1.5
  /// If it cannot be measured: a probe on an emulated instruction and a short walk, docs/benchmarks.md.
  static let assumed = 1.3e-6

  /// Seconds a hit, with the caution.
  static func measure(_ options: TargetOptions) async throws -> Double {
    let program = try CalibrationProgram()
    _ = try program.secondsPerPair()
    let plain = try program.secondsPerPair()
    var options = options
    options.pid = [PIDList(pid: program.pid)]
    let session = try await Session.open(options, keepsEnded: true, isQuiet: true)
    let probed: Double
    let hits: UInt64
    do {
      // Trials of inner probes end within some calls.
      _ = try program.secondsPerPair()
      _ = try await session.look()
      let before = await session.capture.countedHits
      probed = try program.secondsPerPair()
      hits = await session.capture.countedHits - before
    } catch {
      await session.detach()
      throw error
    }
    await session.detach()
    let hitsPerPair = Double(hits) / Double(CalibrationProgram.pairs * CalibrationProgram.rounds)
    guard hitsPerPair > 0.5, probed > plain else {
      throw Failure(.cannotAttach, "the probes on drip's own calls did not show")
    }
    return (probed - plain) / hitsPerPair * caution
  }
}

/// The other drip, which allocates when it is told to.
private final class CalibrationProgram {
  static let pairs = 2000
  static let rounds = 9
  let pid: Int32
  private let input: CInt
  private let output: CInt

  init() throws {
    let down = try Self.pipe()
    let up = try Self.pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, down[0], 0)
    posix_spawn_file_actions_adddup2(&actions, up[1], 1)
    var words: [UnsafeMutablePointer<CChar>?] =
      ["drip", "calibration-program"].map { strdup($0 as String) } + [nil]
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, "/proc/self/exe", &actions, nil, &words, environ)
    close(down[0])
    close(up[1])
    (input, output, pid) = (down[1], up[0], child)
    guard code == 0 else {
      close(down[1])
      close(up[0])
      throw Failure(.cannotAttach, "drip could not start itself (errno \(code))")
    }
  }

  /// The ends of a pipe that only this process has, until it hands them on.
  private static func pipe() throws -> [CInt] {
    var ends: [CInt] = [0, 0]
    guard Glibc.pipe(&ends) == 0 else { throw Failure(.cannotAttach, "no pipe (errno \(errno))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return ends
  }

  deinit {
    // It ends with its input.
    close(input)
    close(output)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }

  /// The quickest of some rounds: what else runs makes the others slower.
  func secondsPerPair() throws -> Double {
    var byte: UInt8 = 1
    guard Glibc.write(input, &byte, 1) == 1 else {
      throw Failure(.cannotAttach, "drip's own program has gone")
    }
    var nanoseconds: UInt64 = 0
    let size = MemoryLayout<UInt64>.size
    let count = withUnsafeMutableBytes(of: &nanoseconds) { Glibc.read(output, $0.baseAddress, size) }
    guard count == size else { throw Failure(.cannotAttach, "drip's own program has gone") }
    return Double(nanoseconds) / 1e9 / Double(Self.pairs)
  }

  /// What it does: for each byte of its input, the quickest of some rounds in nanoseconds.
  static func serve() {
    var byte: UInt8 = 0
    while Glibc.read(STDIN_FILENO, &byte, 1) == 1 {
      var best = UInt64.max
      for _ in 0..<rounds {
        let start = monotonicNanoseconds()
        for _ in 0..<pairs { free(malloc(48)) }
        best = min(best, monotonicNanoseconds() - start)
      }
      guard Glibc.write(STDOUT_FILENO, &best, MemoryLayout<UInt64>.size) > 0 else { return }
    }
  }
}

/// Not for people: see `Calibration`.
struct CalibrationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "calibration-program", shouldDisplay: false)

  func run() { CalibrationProgram.serve() }
}

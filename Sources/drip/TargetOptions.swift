public import ArgumentParser
import Capture
import Processes
public import Profile

/// A time span as an argument: "500ms", "10s", "5m", "1h", or plain seconds.
struct TimeSpan: ExpressibleByArgument, Hashable {
  let seconds: Double

  init(seconds: Double) { self.seconds = seconds }

  init?(argument: String) {
    let units: [(suffix: String, factor: Double)] = [
      ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400),
    ]
    let unit = units.first { argument.hasSuffix($0.suffix) } ?? ("", 1)
    guard let value = Double(argument.dropLast(unit.suffix.count)), value.isFinite, value >= 0,
      value * unit.factor < 1e9
    else { return nil }
    seconds = value * unit.factor
  }

  var defaultValueDescription: String { seconds >= 1 ? "\(Int(seconds))s" : "\(Int(seconds * 1000))ms" }
}

/// A size in bytes as an argument: "4096", "4k", "4KiB", "1M", "2GiB"; units are powers of 1024.
struct ByteSize: ExpressibleByArgument, Hashable {
  let bytes: UInt64

  init(bytes: UInt64) { self.bytes = bytes }

  init?(argument: String) {
    var text = argument.lowercased()[...]
    if text.hasSuffix("ib") { text = text.dropLast(2) } else if text.hasSuffix("b") { text = text.dropLast() }
    let units: [(suffix: Character, shift: UInt64)] = [("k", 10), ("m", 20), ("g", 30), ("t", 40)]
    let unit = units.first { text.last == $0.suffix }
    if unit != nil { text = text.dropLast() }
    guard let value = UInt64(text) else { return nil }
    let (bytes, overflow) = value.multipliedReportingOverflow(by: 1 << (unit?.shift ?? 0))
    guard !overflow else { return nil }
    self.bytes = bytes
  }
}

/// One or several process numbers: "12" or "12,34".
struct PIDList: ExpressibleByArgument, Hashable {
  let pids: [Int32]

  init(pid: Int32) { pids = [pid] }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    pids = parts.compactMap { Int32($0) }.filter { $0 > 0 }
    guard !pids.isEmpty, pids.count == parts.count else { return nil }
  }
}

extension MemoryDomain: ExpressibleByArgument {}

extension DutyCycle: ExpressibleByArgument {
  public init?(argument: String) { try? self.init(argument) }
}

/// How to attach: the names of both halves.
enum BackendName: String, ExpressibleByArgument, CaseIterable {
  case auto
  case session, multi, perf
  case rawtp, fentry, kprobe, tracepoint

  /// For processes; nil if it is none of those, or all are to be tried.
  var process: Backend? { Backend(rawValue: rawValue) }
  /// For the kernel.
  var kernel: KernelBackend? { KernelBackend(rawValue: rawValue) }
}

/// What to attach to and how: shared by the commands that capture.
struct TargetOptions: ParsableArguments {
  @Option(
    name: [.short, .long], help: "The process to watch; several: 12,34 or -p 12 -p 34.")
  var pid: [PIDList] = []

  @Option(help: "Processes of this name (as in /proc/PID/comm; * stands for anything), also those to come.")
  var comm: [String] = []

  @Option(help: "Processes of a control group and those below it, also those to come.")
  var cgroup: [String] = []

  @Option(help: "All processes of the container (PID namespace) that this process is in, also those to come.")
  var container: [Int32] = []

  @Flag(help: "Follow children over fork and exec, from their first instruction (by ptrace).")
  var follow = false

  @Option(help: "Processes that may be traced at one time.")
  var maxProcesses: Int?

  @Option(
    help: ArgumentHelp(
      "Take this file of the target for its allocator, and no other; may be given more than once.",
      discussion: "With a prefix the functions PREFIXmalloc, PREFIXfree and so on are probed.",
      valueName: "path[:prefix]"))
  var allocator: [String] = []

  @Option(help: "Count only objects of at least this many bytes (4096, 4k, 1MiB).")
  var minSize: ByteSize?

  @Option(help: "Count only objects of at most this many bytes.")
  var maxSize: ByteSize?

  @Option(help: "Objects that may be outstanding at once; more are refused, and counted.")
  var maxLive: Int = 1 << 20

  @Option(help: "Distinct call stacks to keep.")
  var maxSites: Int = 1 << 15

  @Option(help: "heap (what allocators hand out), mmap (what is mapped from the kernel), or all.")
  var domain: MemoryDomain = .heap

  @Option(
    help:
      "Record a sample: on average one object for so many allocated bytes (512KiB). Figures are scaled up, and say how sure they are."
  )
  var sampleBytes: ByteSize?

  @Option(help: "Probe in windows only, ON/PERIOD (100ms/1s): cheap, but frees between windows are not seen.")
  var duty: DutyCycle?

  @Option(help: "Frames to keep of a stack, at most 512.")
  var depth: Int = 256

  @Option(
    help:
      "Attach by this only, instead of the best that works: to processes by session, multi or perf; to the kernel by rawtp, fentry, kprobe or tracepoint."
  )
  var backend = BackendName.auto

  @Flag(help: "Probe functions at entry and return only, never inside of them.")
  var noOneTrap = false

  @Option(
    help: "Unwind one stack in so many a second time, by libdwfl, and tell how many agree; 0: none.")
  var checkStacks: Int = 0

  @Flag(help: "Show the functions of CPython 3.11 in its stacks (experimental).")
  var python = false

  @Flag(help: "Follow frame pointers only, without the target's call frame information.")
  var noUnwindTables = false

  func validate() throws {
    guard container.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--container must be a process number")
    }
    if let maxProcesses, !(1...4096).contains(maxProcesses) {
      throw ValidationError("--max-processes must be between 1 and 4096")
    }
    guard (1...(1 << 26)).contains(maxLive) else {
      throw ValidationError("--max-live must be between 1 and 67108864")
    }
    guard (1...(1 << 22)).contains(maxSites) else {
      throw ValidationError("--max-sites must be between 1 and 4194304")
    }
    guard (0...1_000_000_000).contains(checkStacks) else {
      throw ValidationError("--check-stacks must be between 0 and 1000000000")
    }
    guard !python || checkStacks == 0 else {
      throw ValidationError("--check-stacks cannot check stacks with the frames of --python")
    }
    guard (1...512).contains(depth) else { throw ValidationError("--depth must be between 1 and 512") }
    if let sampleBytes, ByteSampling(distance: sampleBytes.bytes) == nil {
      throw ValidationError("--sample-bytes must be at most 4GiB")
    }
    if let minSize, let maxSize, minSize.bytes > maxSize.bytes {
      throw ValidationError("--min-size is larger than --max-size: nothing would be counted")
    }
  }

  /// The pids asked for, each once.
  var pids: [Int32] {
    var seen: Set<Int32> = []
    return pid.flatMap(\.pids).filter { seen.insert($0).inserted }
  }

  var selection: ProcessSelection {
    ProcessSelection(pids: pids, commands: comm, groups: cgroup, containers: container)
  }

  /// Processes to have room for.
  private var processes: Int {
    maxProcesses ?? (selection.isOpen || follow ? max(pids.count, 64) : pids.count)
  }

  var capture: CaptureOptions {
    CaptureOptions(
      minSize: minSize?.bytes ?? 0, maxSize: maxSize?.bytes ?? .max, maxLive: maxLive, maxSites: maxSites,
      maxFrames: depth, sampling: sampleBytes.flatMap { ByteSampling(distance: $0.bytes) } ?? .everything,
      domain: domain,
      maxProcesses: processes, usesOneTrap: !noOneTrap,
      backend: backend.process, usesUnwindTables: !noUnwindTables, checkStacksEvery: checkStacks,
      walksPython: python)
  }
}

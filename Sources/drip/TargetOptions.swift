public import ArgumentParser
public import Capture

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

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    pids = parts.compactMap { Int32($0) }.filter { $0 > 0 }
    guard !pids.isEmpty, pids.count == parts.count else { return nil }
  }
}

extension Backend: ExpressibleByArgument {}

/// What to attach to and how: shared by the commands that capture.
struct TargetOptions: ParsableArguments {
  @Option(
    name: [.short, .long], help: "The process to watch; several: 12,34 or -p 12 -p 34.")
  var pid: [PIDList]

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

  @Option(help: "Frames to keep of a stack, at most 128.")
  var depth: Int = 128

  @Option(help: "Attach by session, multi or perf only, instead of the best that works.")
  var backend: Backend?

  @Flag(help: "Probe functions at entry and return only, never inside of them.")
  var noOneTrap = false

  @Flag(help: "Follow frame pointers only, without the target's call frame information.")
  var noUnwindTables = false

  func validate() throws {
    guard !pids.isEmpty else { throw ValidationError("--pid is needed: the process to watch") }
    if let maxProcesses, !(1...4096).contains(maxProcesses) {
      throw ValidationError("--max-processes must be between 1 and 4096")
    }
    guard (1...(1 << 26)).contains(maxLive) else {
      throw ValidationError("--max-live must be between 1 and 67108864")
    }
    guard (1...(1 << 22)).contains(maxSites) else {
      throw ValidationError("--max-sites must be between 1 and 4194304")
    }
    guard (1...128).contains(depth) else { throw ValidationError("--depth must be between 1 and 128") }
    if let minSize, let maxSize, minSize.bytes > maxSize.bytes {
      throw ValidationError("--min-size is larger than --max-size: nothing would be counted")
    }
  }

  /// The pids asked for, each once.
  var pids: [Int32] {
    var seen: Set<Int32> = []
    return pid.flatMap(\.pids).filter { seen.insert($0).inserted }
  }

  var capture: CaptureOptions {
    CaptureOptions(
      minSize: minSize?.bytes ?? 0, maxSize: maxSize?.bytes ?? .max, maxLive: maxLive, maxSites: maxSites,
      maxFrames: depth, maxProcesses: maxProcesses ?? max(pids.count, 1), usesOneTrap: !noOneTrap,
      backend: backend, usesUnwindTables: !noUnwindTables)
  }
}

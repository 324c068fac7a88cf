import Glibc

/// One look at a process in `/proc`: which one it is and what it has of memory. Bytes.
public struct ProcessReading: Sendable, Hashable {
  public var pid: Int32
  /// Clock ticks after boot at which it started: with the pid it names one process for ever.
  public var startTicks: UInt64
  /// Where its code begins and where its stack does, which change when it executes another program.
  public var image: UInt64
  /// The command as the kernel has it, in at most 64 bytes.
  public var command: [UInt8]
  public var resident: UInt64
  /// Resident memory that is neither of files nor shared.
  public var anonymous: UInt64
  /// Swapped out; read only where the machine has something in swap.
  public var swapped: UInt64

  /// Memory that is the process's own, in memory or swapped out: what leaks.
  public var own: UInt64 { anonymous &+ swapped }
}

/// Reads what all processes have of memory, cheaply: of each two small files, `stat` and `statm`, into one buffer, and
/// `status` only where something is swapped out at all.
public struct ProcessTable: ~Copyable {
  /// What one look has found.
  public struct Look: Sendable, Hashable {
    public var processes: [ProcessReading] = []
    /// Processes that went away in the meantime, or whose files could not be read: they are not in the list.
    public var unread: UInt64 = 0
  }

  private var buffer = [UInt8](repeating: 0, count: 4096)
  private let pageSize = UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 1))

  public init() {}

  /// All processes that have memory of their own: threads of the kernel and those that have exited have none. Nil if
  /// `/proc` cannot be read.
  public mutating func read() -> Look? {
    guard let folder = opendir("/proc") else { return nil }
    defer { closedir(folder) }
    let descriptor = dirfd(folder)
    let swaps = Self.isSwapInUse()
    var look = Look()
    while let entry = readdir(folder) {
      guard let pid = withUnsafeBytes(of: entry.pointee.d_name, { Self.number($0) }) else { continue }
      switch read(pid, descriptor, swaps) {
      case .process(let reading): look.processes.append(reading)
      case .none: break
      case .failed: look.unread += 1
      }
    }
    return look
  }

  private enum Outcome {
    case process(ProcessReading)
    /// It has no memory.
    case none
    case failed
  }

  private mutating func read(_ pid: Int32, _ folder: CInt, _ swaps: Bool) -> Outcome {
    guard let stat = read("\(pid)/stat", folder), let facts = Facts(buffer[..<stat]) else { return .failed }
    guard !facts.isKernelThread, !facts.isZombie else { return .none }
    guard let statm = read("\(pid)/statm", folder) else { return .failed }
    var fields = Fields(buffer[..<statm])
    guard fields.next() != nil, let resident = fields.next(), let shared = fields.next() else {
      return .failed
    }
    var reading = ProcessReading(
      pid: pid, startTicks: facts.startTicks, image: facts.image, command: facts.command,
      resident: Self.bytes(resident, pageSize),
      anonymous: Self.bytes(resident > shared ? resident - shared : 0, pageSize), swapped: 0)
    if swaps, let count = read("\(pid)/status", folder) {
      // In KiB.
      let value = ProcFile.field("VmSwap", in: Array(buffer[..<count]))?.split(separator: " ").first
      reading.swapped = Self.bytes(value.flatMap { UInt64($0) } ?? 0, 1024)
    }
    return .process(reading)
  }

  private static func bytes(_ count: UInt64, _ unit: UInt64) -> UInt64 {
    let (product, overflow) = count.multipliedReportingOverflow(by: unit)
    return overflow ? .max : product
  }

  /// Reads at most the buffer's bytes of a file; their number, nil if there are none.
  private mutating func read(_ name: String, _ folder: CInt) -> Int? {
    let descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    return count > 0 ? count : nil
  }

  private static func isSwapInUse() -> Bool {
    guard let memory = try? ProcFile.read("/proc/meminfo", limit: 65_536),
      let total = ProcFile.field("SwapTotal", in: memory), let free = ProcFile.field("SwapFree", in: memory)
    else { return true }
    return total != free
  }

  /// A name that is a process's number.
  private static func number(_ name: UnsafeRawBufferPointer) -> Int32? {
    var value: Int32 = 0
    var digits = 0
    for byte in name {
      if byte == 0 { break }
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits < 9 else { return nil }
      value = value * 10 + Int32(byte - UInt8(ascii: "0"))
      digits += 1
    }
    return digits > 0 ? value : nil
  }
}

extension ProcessTable {
  /// What `stat` says of a process (proc(5)), read without making a text of it: this is done for every process of the
  /// machine, again and again.
  struct Facts {
    var command: [UInt8]
    var startTicks: UInt64
    var image: UInt64
    private var state: UInt8
    private var flags: UInt64

    /// PF_KTHREAD of include/linux/sched.h.
    var isKernelThread: Bool { flags & 0x0020_0000 != 0 }
    var isZombie: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

    init?(_ text: ArraySlice<UInt8>) {
      // The command may hold any byte; it ends at the last parenthesis.
      guard let open = text.firstIndex(of: UInt8(ascii: "(")),
        let close = text.lastIndex(of: UInt8(ascii: ")")),
        open < close, close + 2 < text.endIndex
      else { return nil }
      command = Array(text[(open + 1)..<close].prefix(64))
      state = text[close + 2]
      var fields = Fields(text[(close + 3)...])
      // The first of them is field 4. 9: flags, 22: start, 26: where the code begins, 28: where the stack does.
      var values: [UInt64] = []
      values.reserveCapacity(25)
      while values.count < 25, let value = fields.next() { values.append(value) }
      guard values.count == 25 else { return nil }
      flags = values[5]
      startTicks = values[18]
      // The addresses are 0 or 1 where they are not ours to see: one image then.
      image = values[22] &* 0x9e37_79b9_7f4a_7c15 ^ values[24]
    }
  }

  /// The numbers of a text, one after the other. A sign is passed over: no field that is used has one.
  struct Fields {
    private var rest: ArraySlice<UInt8>

    init(_ text: ArraySlice<UInt8>) { rest = text }

    /// Nil at the end, and at anything that is no number.
    mutating func next() -> UInt64? {
      while let first = rest.first, first == UInt8(ascii: " ") || first == UInt8(ascii: "-") {
        rest.removeFirst()
      }
      var value: UInt64 = 0
      var digits = 0
      while let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
        value = value &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
        digits += 1
        rest.removeFirst()
      }
      return digits > 0 ? value : nil
    }
  }
}

/// What is read of a process when it is new: it changes when the process executes another program.
public struct ProcessFacts: Sendable, Hashable {
  /// The path of the executable as the process sees it; empty if it cannot be read.
  public var executable: String
  /// The control group that accounts for its memory; empty if it cannot be told.
  public var cgroup: String

  public static func read(pid: Int32) -> ProcessFacts {
    let groups = (try? ProcFile.text("/proc/\(pid)/cgroup")).map(MemoryLimitReader.hierarchies) ?? []
    // Where both versions are mounted, the one with a memory controller accounts for it.
    let group = groups.first { !$0.isUnified } ?? groups.first
    return ProcessFacts(
      executable: DeletedMark.split((try? ProcFile.link("/proc/\(pid)/exe")) ?? "").path,
      cgroup: group?.path ?? "")
  }
}

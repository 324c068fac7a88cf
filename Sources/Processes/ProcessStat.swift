/// What drip needs of /proc/PID/stat (proc(5)).
struct ProcessStat: Hashable {
  var command: String
  var state: UInt8
  var flags: UInt64
  var startTicks: UInt64

  /// PF_KTHREAD of include/linux/sched.h.
  var isKernelThread: Bool { flags & 0x0020_0000 != 0 }
  /// Exited: nothing of it is left but its number.
  var isZombie: Bool {
    state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") || state == UInt8(ascii: "x")
  }

  /// The command stands in parentheses and may hold any byte, parentheses and spaces too: it ends at the last one.
  /// Bytes, not Characters: a combining mark after a parenthesis would hide it.
  init?(_ text: [UInt8]) {
    guard let open = text.firstIndex(of: UInt8(ascii: "(")),
      let close = text.lastIndex(of: UInt8(ascii: ")")),
      open < close
    else { return nil }
    command = String(decoding: text[(open + 1)..<close], as: UTF8.self)
    let fields = text[(close + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
    // Field 3 is the first after the command; 9 are the flags, 22 the start time.
    guard fields.count > 19, fields[0].count == 1, let state = fields[0].first,
      let flags = UInt64(String(decoding: fields[6], as: UTF8.self)),
      let startTicks = UInt64(String(decoding: fields[19], as: UTF8.self))
    else { return nil }
    self.state = state
    self.flags = flags
    self.startTicks = startTicks
  }
}

/// What drip needs of /proc/PID/stat (proc(5)).
struct ProcessStat: Hashable {
  var command: String
  var state: Character
  var flags: UInt64
  var startTicks: UInt64

  /// PF_KTHREAD of include/linux/sched.h.
  var isKernelThread: Bool { flags & 0x0020_0000 != 0 }

  /// The command stands in parentheses and may hold any character, parentheses and spaces too: it ends at the
  /// last one.
  init?(_ text: String) {
    guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else { return nil }
    command = String(text[text.index(after: open)..<close])
    let fields = text[text.index(after: close)...].split(separator: " ")
    // Field 3 is the first after the command; 9 are the flags, 22 the start time.
    guard fields.count > 19, let state = fields[0].first, let flags = UInt64(fields[6]),
      let startTicks = UInt64(fields[19])
    else { return nil }
    self.state = state
    self.flags = flags
    self.startTicks = startTicks
  }
}

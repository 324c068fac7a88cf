import Glibc
import Processes
import Profile
import Symbolication

// symbol-bench PID COUNT [SEED] — names COUNT distinct addresses of a process, spread over the code of its executable,
// and prints what that took: seconds to the first name and to the last, peak memory.

func seconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Peak and present memory of this process in KiB, from /proc/self/status.
func status(_ field: String) -> Int {
  guard let file = fopen("/proc/self/status", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, 256, file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if text.hasPrefix(field) { return text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0 }
  }
  return 0
}

guard CommandLine.arguments.count >= 3, let pid = Int32(CommandLine.arguments[1]),
  let count = Int(CommandLine.arguments[2])
else {
  print("usage: symbol-bench PID COUNT [FIRST-ADDRESS-IN-HEX]")
  exit(2)
}

let mappings = try MemoryMap.read(pid: pid)
let executable = try TargetProcess.open(pid: pid).identity.executable
guard let code = mappings.first(where: { $0.permissions.contains(.execute) && $0.path == executable }) else {
  print("no code of \(executable)")
  exit(1)
}
// Evenly spread, with a stride that does not favour aligned addresses: distinct as long as there is code enough.
let span = code.end - code.start
let stride = max(span / UInt64(count), 1)
var addresses = (0..<UInt64(count)).map { code.start + ($0 * stride + $0 % 7) % span + 1 }
// In no order, as sites of a table come.
var state: UInt64 = 88_172_645_463_325_252
for index in addresses.indices.reversed() where index > 0 {
  state ^= state << 13
  state ^= state >> 7
  state ^= state << 17
  addresses.swapAt(index, Int(state % UInt64(index + 1)))
}
let before = status("VmRSS:")

let start = seconds()
let symbolizer = Symbolizer(pid: pid)
symbolizer.update(
  mappings: mappings.map {
    SymbolMapping(
      start: $0.start, end: $0.end, fileOffset: $0.fileOffset, executable: $0.permissions.contains(.execute),
      path: $0.path)
  })
var firstName: Double?
var frames = 0
var named = 0
var lines = 0
for address in addresses {
  let found = symbolizer.frames(for: address)
  frames += found.count
  if found.last?.function != nil {
    named += 1
    if firstName == nil { firstName = seconds() - start }
  }
  if found.last?.line != nil { lines += 1 }
}
let total = seconds() - start
let result: [(String, String)] = [
  ("executable", executable), ("code_bytes", "\(span)"), ("addresses", "\(Set(addresses).count)"),
  ("named", "\(named)"), ("with_line", "\(lines)"), ("frames", "\(frames)"),
  ("first_name_seconds", firstName.map { "\($0)" } ?? "null"), ("seconds", "\(total)"),
  ("rss_before_kib", "\(before)"), ("peak_rss_kib", "\(status("VmHWM:"))"),
  ("anonymous_kib", "\(status("RssAnon:"))"),
]
for (key, value) in result { print("\(key) \(value)") }

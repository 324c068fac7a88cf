import Glibc
import Store

/// `store-writer FILE [PAUSE_MS]`: writes intervals without end, each with the same number of rows, and prints the number of
/// each one once it is in the store; for tests that kill it.
let path = CommandLine.arguments[1]
let pause = CommandLine.arguments.count > 2 ? UInt32(CommandLine.arguments[2]) ?? 0 : 0
let store = try Store.open(path: path, boot: "test")
try store.begin(time: 1, drip: "test", kernel: "test", intervalSeconds: 1)
let processes = (1...200).map { pid in
  StoredProcess(
    identity: ProcessIdentity(pid: Int32(pid), startTicks: 7, image: 1), command: "c\(pid)",
    executable: "/bin/c", buildID: "", cgroup: "/g")
}
for number in 1... {
  var record = IntervalRecord(time: Int64(number) * 1000)
  if number == 1 { record.processes = processes }
  record.memory = processes.map {
    MemoryRow(process: $0.identity, resident: UInt64(number), anonymous: 1, swapped: 0)
  }
  record.run.intervals = UInt64(number)
  try store.add(record)
  let line = "\(number)\n"
  write(STDOUT_FILENO, line, line.utf8.count)
  if pause > 0 { usleep(pause * 1000) }
}

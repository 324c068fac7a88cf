import Glibc
import Processes
import Profile
import Reports
import Store
import Trends

/// Tells of events, one line each, on standard output.
struct SampleLog {
  /// Milliseconds since 1970.
  var time: Int64 = 0

  func line(_ event: String) -> LogLine { LogLine(event, unixMilliseconds: time) }

  /// A reader that has gone does not end the watch: the store has it all.
  func write(_ line: LogLine) {
    let text = line.line + "\n"
    _ = text.withCString { Glibc.write(STDOUT_FILENO, $0, strlen($0)) }
  }

  func tell(_ event: SampleWatch.Event) {
    switch event {
    case .began(let process, let growth): write(describe(line("growth"), process, growth))
    case .ended(let process, let growth, let reason):
      var line = describe(line("growth-end"), process, growth)
      line.add("reason", reason)
      write(line)
    }
  }

  private func describe(_ line: LogLine, _ process: StoredProcess, _ growth: Growth) -> LogLine {
    var line = name(line, process)
    line.add("bytes_per_second", growth.bytesPerSecond, decimals: 0)
    line.add("low", growth.low, decimals: 0)
    line.add("high", growth.high, decimals: 0)
    line.add("tau", growth.tau, decimals: 2)
    line.add("seconds", growth.seen - growth.since, decimals: 0)
    line.add("from_bytes", growth.from)
    line.add("to_bytes", growth.to)
    if !process.cgroup.isEmpty { line.add("cgroup", process.cgroup) }
    if !process.executable.isEmpty { line.add("exe", process.executable) }
    if !process.buildID.isEmpty { line.add("build_id", process.buildID) }
    return line
  }

  func name(_ line: LogLine, _ process: StoredProcess) -> LogLine {
    var line = line
    line.add("pid", process.identity.pid)
    line.add("comm", process.command)
    return line
  }
}

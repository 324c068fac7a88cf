import Foundation
import GRDB
import Profile

@testable import Store

/// A folder of its own, removed at the end.
final class Scratch {
  let folder: String
  var path: String { folder + "/s/store.db" }

  init() {
    folder = NSTemporaryDirectory() + "drip-store-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    mkdir(folder, 0o700)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func open() throws -> Store {
    let store = try Store.open(path: path, boot: "boot")
    try store.begin(time: 1000, drip: "1", kernel: "6", intervalSeconds: 10)
    return store
  }

  /// Another program's look at the file.
  func sqlite<Value>(_ body: (Database) throws -> Value) throws -> Value {
    try DatabaseQueue(path: path).read(body)
  }

  func count(_ table: String) throws -> Int {
    try sqlite { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") ?? -1 }
  }
}

func process(_ pid: Int32, start: UInt64 = 5, image: UInt64 = 1) -> StoredProcess {
  StoredProcess(
    identity: ProcessIdentity(pid: pid, startTicks: start, image: image), command: "server\(pid)",
    executable: "/usr/bin/server", buildID: "ab12", cgroup: "/system.slice/server")
}

/// An interval with one sample of each process.
func interval(_ time: Int64, _ processes: [StoredProcess], resident: UInt64 = 1 << 20) -> IntervalRecord {
  var record = IntervalRecord(time: time)
  record.processes = processes
  record.memory = processes.map {
    MemoryRow(process: $0.identity, resident: resident, anonymous: resident / 2, swapped: 0)
  }
  return record
}

func growth(_ pid: Int32, since: Int64 = 1000, seen: Int64 = 9000, rate: Double = 100) -> GrowthRow {
  GrowthRow(
    process: process(pid).identity, since: since, told: since + 10, seen: seen, bytesPerSecond: rate, low: 90,
    high: 110, from: 10, to: 20)
}

func frame(_ function: String, offset: UInt64 = 0x10) -> Frame {
  Frame(address: 0x7f00_0000 + offset, function: function, module: "/bin/s", buildID: "ab", offset: offset)
}

func site(_ names: [String], bytes: UInt64 = 100, suspicion: StoredSuspicion? = nil) -> StoredSite {
  StoredSite(
    frames: names.map { frame($0) }, end: .complete, allocs: 7, frees: 3, allocatedBytes: 700,
    outstandingCount: 4, outstandingBytes: bytes, bytesError: 3, oldestSeconds: 2, suspicion: suspicion)
}

func snapshot(_ pid: Int32, time: Int64 = 2000, _ sites: [StoredSite]) -> StoredSnapshot {
  StoredSnapshot(
    process: process(pid).identity, time: time, watchedSeconds: 60, seenSeconds: 30, sampleBytes: 4096,
    losses: 0, notes: ["one.", "two."], sites: sites)
}

/// The program that writes until it is killed.
final class WriterProcess {
  let process = Process()
  private let output = Pipe()

  init(path: String, pause: Int = 0) throws {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent()
      .appendingPathComponent("store-writer")
    process.arguments = [path, "\(pause)"]
    process.standardOutput = output
    try process.run()
  }

  /// Waits until it has told of so many intervals.
  func wait(for number: Int) {
    var text = ""
    while !text.contains("\n\(number)\n") {
      let data = output.fileHandleForReading.availableData
      if data.isEmpty { return }
      text += String(decoding: data, as: UTF8.self)
    }
  }

  /// Kills it; the last interval that it has told of.
  func kill() -> Int {
    Glibc.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    let rest = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    return rest.split(separator: "\n").last.flatMap { Int($0) } ?? 0
  }
}

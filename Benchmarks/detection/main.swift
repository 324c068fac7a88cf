import Binaries
import Capture
import Glibc
import LeakDetection
import Probes
import Processes
import Profile

// detection-bench sites COUNT — CPU time of a poll and of a verdict over COUNT synthetic call sites.
// detection-bench scan PID — attaches, prints READY, waits for a line, and prints the CPU time of snapshots of the
// process with cohorts and without, by turns.

/// CPU time of this process in seconds.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func milliseconds(_ seconds: [Double]) -> String {
  let sorted = seconds.sorted()
  let median = Quantities.fixed(sorted[sorted.count / 2] * 1000, decimals: 2)
  return "\(median) ms (\(Quantities.fixed((sorted.last ?? 0) * 1000, decimals: 2)) at most)"
}

/// A poll of sites that all have objects in every bin, a tenth of which lose some.
func poll(_ seconds: Double, _ count: Int) -> Snapshot {
  let width = BirthCohorts.width(elapsed: seconds)
  let bins = Int(seconds / width) + 1
  var rows: [BirthCohorts.Row] = []
  var sites: [SiteCounts] = []
  for id in 0..<count {
    let left = id % 10 == 0 ? UInt32(bins) : 0
    let objects = (0..<bins).map { UInt32(5 + $0 % 3) * UInt32(width * 2) &- min(left, UInt32($0) / 8) }
    let sum = objects.reduce(0) { $0 + UInt64($1) }
    rows.append(BirthCohorts.Row(site: UInt32(id), objects: objects, bytes: objects.map { UInt64($0) * 100 }))
    let births = UInt64(seconds * 20)
    sites.append(
      SiteCounts(
        id: UInt32(id), process: 0, allocs: births, frees: births - min(sum, births),
        allocatedBytes: births * 100, freedBytes: (births - min(sum, births)) * 100))
  }
  return Snapshot(
    elapsedSeconds: seconds, sites: sites, cohorts: BirthCohorts(width: width, bins: bins, rows: rows))
}

func measureSites(_ count: Int) {
  var detector = Detector()
  var polls: [Double] = []
  for second in stride(from: 5.0, through: 1260, by: 5) {
    let snapshot = poll(second, count)
    let start = processorSeconds()
    detector.add(snapshot)
    polls.append(processorSeconds() - start)
  }
  var verdicts: [Double] = []
  var suspected = 0
  for _ in 0..<20 {
    let start = processorSeconds()
    let all = detector.verdicts()
    verdicts.append(processorSeconds() - start)
    suspected = all.values.count { $0.level >= .watch }
  }
  print("\(count) sites, \(suspected) suspected, \(Detector.bytesPerSite) bytes each")
  print("poll: \(milliseconds(polls)) of CPU; the most is one with a look or with bins that double")
  print("verdicts: \(milliseconds(verdicts)) of CPU")
}

func measureScan(_ pid: Int32) async throws {
  let target = try TargetProcess.open(pid: pid)
  var candidates: [PlanCandidate] = []
  for module in MemoryMap.modules(try MemoryMap.read(pid: pid)) where module.isExecutable {
    guard let elf = try? ELFFile(try FileBytes(path: module.path)) else { continue }
    candidates.append(
      PlanCandidate(
        path: module.path, displayPath: module.path, images: try AllocatorImage.images(in: elf), elf: elf,
        isExecutable: module.path == target.identity.executable))
  }
  let capture = try LiveCapture(
    target: target, plan: try ProbePlan.make(candidates: candidates),
    options: CaptureOptions(), cpus: 64)
  print("READY")
  _ = readLine()
  var times: [Bool: [Double]] = [false: [], true: []]
  var live: UInt64 = 0
  var rows = 0
  for round in 0..<40 {
    let start = processorSeconds()
    let snapshot = try await capture.snapshot(cohorts: round % 2 == 1)
    times[round % 2 == 1]?.append(processorSeconds() - start)
    live = snapshot.table.live
    rows = max(rows, snapshot.cohorts?.rows.count ?? 0)
  }
  print("\(live) live objects of \(rows) sites")
  print("snapshot without cohorts: \(milliseconds(times[false] ?? [])) of CPU")
  print("snapshot with cohorts: \(milliseconds(times[true] ?? [])) of CPU")
  await capture.detach()
}

let arguments = CommandLine.arguments
if arguments.count == 3, arguments[1] == "sites", let count = Int(arguments[2]), count > 0 {
  measureSites(count)
} else if arguments.count == 3, arguments[1] == "scan", let pid = Int32(arguments[2]) {
  try await measureScan(pid)
} else {
  print("usage: detection-bench sites COUNT | scan PID")
  exit(2)
}

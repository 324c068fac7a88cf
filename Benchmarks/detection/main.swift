import Binaries
import Capture
import Glibc
import LeakDetection
import PointerScan
import Probes
import Processes
import Profile

// detection-bench sites COUNT — CPU time of a poll and of a verdict over COUNT synthetic call sites.
// detection-bench scan PID — attaches, prints READY, waits for a line, and prints the CPU time of snapshots of the
// process with cohorts and without, by turns.
// detection-bench search PID — attaches, prints READY, waits for a line, and searches the process, which stands still
// meanwhile, for pointers to the oldest objects of all its sites, five times.
// detection-bench record PID SECONDS — attaches and prints a recording of what a detector is told, to be kept.
// detection-bench replay — reads a recording and prints the verdicts that it ends with, the gravest first, with the CPU
// time of all.

/// CPU time of this process in seconds.
func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func milliseconds(_ seconds: Double) -> String { Quantities.fixed(seconds * 1000, decimals: 2) + " ms" }

func milliseconds(_ seconds: [Double]) -> String {
  let sorted = seconds.sorted()
  let median = Quantities.fixed(sorted[sorted.count / 2] * 1000, decimals: 2)
  return "\(median) ms (\(Quantities.fixed((sorted.last ?? 0) * 1000, decimals: 2)) at most)"
}

/// Prints READY, and waits until somebody has made what is to be measured.
func waitForLine() {
  print("READY")
  fflush(nil)
  _ = readLine()
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

func attach(_ pid: Int32) throws -> LiveCapture {
  let target = try TargetProcess.open(pid: pid)
  var candidates: [PlanCandidate] = []
  for module in MemoryMap.modules(try MemoryMap.read(pid: pid)) where module.isExecutable {
    guard let elf = try? ELFFile(try FileBytes(path: module.path)) else { continue }
    candidates.append(
      PlanCandidate(
        path: module.path, displayPath: module.path, images: try AllocatorImage.images(in: elf), elf: elf,
        isExecutable: module.path == target.identity.executable))
  }
  return try LiveCapture(
    target: target, plan: try ProbePlan.make(candidates: candidates),
    options: CaptureOptions(), cpus: 64)
}

/// The stop may take 10 s, so that a busy machine does not make it a search without one.
func measureSearch(_ pid: Int32) async throws {
  let capture = try attach(pid)
  waitForLine()
  let sites = try await capture.snapshot().sites.filter { $0.outstandingCount > 0 }.map(\.id)
  var options = Inspection.Options(scan: ProcessScan.Options(stops: true, maxStop: 10))
  options.scan.secondsPerByte = 1
  for _ in 0..<5 {
    let start = processorSeconds()
    let found = try await Inspection.run(
      pid: pid, sites: sites, options: options, known: { try await capture.liveObjects(of: 0) },
      pause: { false })
    guard let found, found.isFrozen else {
      print("it was not searched in one stop: \(found?.obstacle ?? "it went away")")
      exit(1)
    }
    let spent = processorSeconds() - start
    let gibibytes = Double(found.bytes) / Double(1 << 30)
    print(
      "\(Quantities.bytes(found.bytes)) searched for \(found.objects.count) objects: stood still for",
      "\(milliseconds(found.stoppedSeconds)), all in all \(milliseconds(spent)) of CPU:",
      "\(Quantities.fixed(gibibytes / found.stoppedSeconds, decimals: 2)) GiB/s of the stop,",
      "\(Quantities.fixed(gibibytes / spent, decimals: 2)) of CPU")
  }
  await capture.detach()
}

func record(_ pid: Int32, _ seconds: Double) async throws {
  let capture = try attach(pid)
  var detector = Detector()
  print(Recording.header)
  while detector.now < seconds {
    try await Task.sleep(for: .milliseconds(250))
    guard detector.isDue(await capture.elapsedSeconds) else { continue }
    let snapshot = try await capture.snapshot(cohorts: true)
    detector.add(snapshot)
    print(Recording.line(snapshot))
  }
  await capture.detach()
}

func replay() throws {
  var detector = Detector()
  var reader = RecordingReader()
  let start = processorSeconds()
  while let line = readLine() { if let snapshot = try reader.read(line) { detector.add(snapshot) } }
  let verdicts = detector.verdicts().sorted { Verdict.isGraver($0.value, $1.value) }
  for (site, verdict) in verdicts { print("site \(site): \(verdict.words.joined(separator: "; "))") }
  print("\(verdicts.count) sites after \(detector.now) s, \(milliseconds(processorSeconds() - start)) of CPU")
}

func measureScan(_ pid: Int32) async throws {
  let capture = try attach(pid)
  waitForLine()
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
} else if arguments.count == 3, arguments[1] == "search", let pid = Int32(arguments[2]) {
  try await measureSearch(pid)
} else if arguments.count == 4, arguments[1] == "record", let pid = Int32(arguments[2]),
  let seconds = Double(arguments[3])
{
  try await record(pid, seconds)
} else if arguments.count == 2, arguments[1] == "replay" {
  try replay()
} else {
  print("usage: detection-bench sites COUNT | scan PID | search PID | record PID SECONDS | replay")
  exit(2)
}

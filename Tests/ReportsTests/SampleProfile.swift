import Profile

/// A small profile with one of everything: inlined frames, a missing name, memory in no file, every way to lose.
enum Sample {
  static let server = "/usr/bin/server"
  static let library = "/usr/lib/x86_64-linux-gnu/libfoo.so.1"
  static let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6"

  static let main = Frame(
    address: 0x5500_0000_1500, function: "main", module: server, buildID: "aa11", offset: 0x1500,
    file: "/src/server.c", line: 90)

  static let request = Site(
    pid: 1234, outstandingBytes: 1_310_720, outstandingCount: 1234, allocs: 1300, frees: 66,
    allocatedBytes: 1_380_000, oldestSeconds: 9.8, growthBytesPerSecond: 122_880,
    frames: [
      Frame(address: 0x7f00_0000_0042, function: "strdup", module: libc, buildID: "cc33", offset: 0x42),
      Frame(
        address: 0x5500_0000_1234, function: "copy_field", module: server, buildID: "aa11", offset: 0x1234,
        file: "/src/field.h", line: 7, inlined: true),
      Frame(
        address: 0x5500_0000_1234, function: "parse_request", module: server, buildID: "aa11", offset: 0x1234,
        file: "/src/server.c", line: 42),
      main,
    ])

  static let cut = Site(
    pid: 1234, outstandingBytes: 786_432, outstandingCount: 1, allocs: 1, frees: 0, allocatedBytes: 786_432,
    oldestSeconds: 0.85, growthBytesPerSecond: nil,
    frames: [
      Frame(address: 0x7f00_0100_1a2b, module: library, buildID: "abcd1234", offset: 0x1a2b),
      Frame(address: 0x7f99_0000_0000),
    ],
    stackEnd: .truncated)

  static var losses: Losses {
    var losses = Losses()
    losses[.unmatchedFrees] = 17
    losses[.unsymbolisedFrames] = 2
    return losses
  }

  static var stacks: StackCounts {
    var stacks = StackCounts(depth: 64)
    stacks[.complete] = 1118
    stacks[.truncated] = 3
    stacks[.unreadable] = 1
    return stacks
  }

  static func profile(
    sites: [Site] = [request, cut], losses: Losses = losses, ended: String? = nil, filters: [String] = [],
    command: String = "server", omitted: (sites: Int, bytes: UInt64, count: UInt64) = (0, 0, 0)
  ) -> HeapProfile {
    HeapProfile(
      dripVersion: "0.1.0",
      capture: CaptureInfo(
        startUnixNanoseconds: 1_700_000_000_123_456_789, seconds: 10, kernel: "6.18.1",
        backend: "uprobe session",
        ended: ended, filters: filters),
      processes: [Target(pid: 1234, startTicks: 987, command: command, executable: server)],
      totals: Totals(
        outstandingBytes: 2_097_152, outstandingCount: 1235, allocs: 5000, frees: 3765,
        allocatedBytes: 10_485_760),
      losses: losses,
      table: TableUse(
        live: 1235, liveCapacity: 1_048_576, sites: 120, siteCapacity: 32_768, bytes: 50_331_648),
      sites: sites, omittedSites: omitted.sites, omittedBytes: omitted.bytes, omittedCount: omitted.count,
      stacks: stacks)
  }

  /// Nothing happened at all.
  static let empty = HeapProfile(
    dripVersion: "0.1.0",
    capture: CaptureInfo(startUnixNanoseconds: 0, seconds: 0, kernel: "6.18.1", backend: "perf uprobe"),
    processes: [], totals: Totals(), losses: Losses(), table: TableUse(), sites: [])

  /// Every number as large as it can be.
  static var huge: HeapProfile {
    let half = UInt64.max / 2 + 1
    let frame = Frame(address: .max, function: "f", module: "/m", offset: .max, file: "f.c", line: .max)
    let site = Site(
      pid: .max, outstandingBytes: half, outstandingCount: half, allocs: .max, frees: half,
      allocatedBytes: .max,
      oldestSeconds: .infinity, growthBytesPerSecond: .nan, frames: [frame])
    var profile = profile(sites: [site, site, site], omitted: (.max / 2, .max, .max))
    profile.capture.seconds = .nan
    profile.capture.startUnixNanoseconds = .max
    profile.totals = Totals(
      outstandingBytes: .max, outstandingCount: .max, allocs: .max, frees: .max, allocatedBytes: .max)
    profile.table = TableUse(live: .max, liveCapacity: .max, sites: .max, siteCapacity: .max, bytes: .max)
    profile.losses[.unmatchedFrees] = .max
    return profile
  }

  /// Names that try to break out of every format.
  static let hostileName = "a;b \"c\"\\\n\u{1b}[31m\t\r\u{0}\u{85}\u{2028}é漢"
  static var hostile: HeapProfile {
    var site = request
    site.frames = [
      Frame(
        address: 1, function: hostileName, module: "/tmp/" + hostileName, buildID: nil, file: hostileName,
        line: 1)
    ]
    return profile(sites: [site], filters: [hostileName], command: hostileName)
  }
}

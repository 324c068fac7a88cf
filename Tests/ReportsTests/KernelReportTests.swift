import Foundation
import LeakDetection
import Profile
import Testing

@testable import Reports

@Suite("the kernel's part of reports")
struct KernelReportTests {
  private static let frames = ["__kmalloc_noprof", "newque", "ipcget"].map {
    Frame(address: 0xffff_ffff_8100_0000, function: $0, module: KernelFrame.module, offset: 16)
  }

  private static let sample: KernelProfile = {
    let site = Site(
      pid: 42, outstandingBytes: 256_000, outstandingCount: 1000, allocs: 1001, frees: 1,
      allocatedBytes: 256_256,
      oldestSeconds: 3, growthBytesPerSecond: 1024, frames: frames, ids: [5])
    let caller = Site(
      pid: 1, outstandingBytes: 192, outstandingCount: 1, allocs: 9, frees: 8, allocatedBytes: 1728,
      frames: [frames[1]], ids: [6])
    var origin = KernelOrigin(
      domain: .slab, bucketBytes: 256, pid: 42, command: "maker\u{1b}[31m", cgroup: 77)
    var other = KernelOrigin(domain: .slab, cache: "dentry", pid: 1, command: "init", isCallerOnly: true)
    other.isMixed = false
    return KernelProfile(
      profile: HeapProfile(
        dripVersion: "0",
        capture: CaptureInfo(
          startUnixNanoseconds: 0, seconds: 3, kernel: "6.1", backend: KernelBackend.rawtp.title),
        processes: [],
        totals: Totals(outstandingBytes: 256_192, outstandingCount: 1001, allocs: 1010, frees: 9),
        losses: Losses(), table: TableUse(), sites: [site, caller]),
      coverage: KernelCoverage(backend: .rawtp, hooks: ["kmem:kfree"], unheardFrees: ["kfree_rcu"]),
      details: [
        5: .init(origin: origin, cache: "kmalloc-256", isCorroborated: true),
        6: .init(origin: other, cache: "dentry", caveat: "the kernel shrinks it"),
      ],
      caches: [
        KernelProfile.Cache(
          name: "kmalloc-256", aliases: ["also"], objectBytes: 256, activeBefore: 100, activeNow: 1100,
          isReclaimable: false, trackedCount: 1000, trackedBytes: 256_000)
      ])
  }()

  @Test(
    "text: where objects are from stands below their size, and nothing of a process can steer the terminal")
  func text() {
    let text = KernelReport.render(Self.sample, by: .stack)
    #expect(text.contains("drip 0: the kernel, watched 3.0 s on Linux 6.1 by raw tracepoints"))
    #expect(text.contains("cache kmalloc-256 · maker"))
    #expect(text.contains("(pid 42) · cgroup 77"))
    #expect(!text.contains("\u{1b}"))
    #expect(text.contains("caller only (--stacks always takes every stack)"))
    #expect(text.contains("no leak by itself: the kernel shrinks it"))
    #expect(text.contains("newque  kernel"))
    // Counts are not exact where some frees are not told.
    #expect(!text.contains("exact") && !KernelReport.render(Self.sample, by: .cache).contains("exact"))
    var whole = Self.sample
    whole.coverage.unheardFrees = []
    #expect(KernelReport.render(whole, by: .stack).contains("none: the counts are exact"))
  }

  @Test("by cache: the kernel's own count beside drip's")
  func caches() {
    let lines = KernelReport.render(Self.sample, by: .cache).split(separator: "\n").map(String.init)
    let title = lines.first { $0.contains("IN USE") } ?? ""
    #expect(title.hasSuffix("CACHE"))
    let row = lines.first { $0.hasSuffix("kmalloc-256") } ?? ""
    let cells = row.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
    #expect(cells.contains("1,000") && cells.contains("1,100") && cells.contains("+1000"), "\(row)")
    // A cache without figures has none.
    #expect(lines.contains { $0.hasSuffix("dentry") && $0.contains(" - ") })
    let short = KernelReport.render(Self.sample, by: .process, rows: 1)
    #expect(short.contains("… 1 more"))
  }

  @Test("JSON: the kernel stands apart from the processes, with all that is known")
  func json() throws {
    let nothing = HeapProfile(
      dripVersion: "0", capture: Self.sample.profile.capture, processes: [], totals: Totals(),
      losses: Losses(),
      table: TableUse(), sites: [], hasHeap: false)
    let text = JSONReport.render(
      nothing, judged: SiteJudgements(), kernel: Self.sample, kernelJudged: SiteJudgements())
    let root = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect((root["sites"] as? [Any])?.isEmpty == true)
    let kernel = try #require(root["kernel"] as? [String: Any])
    #expect(kernel["backend"] as? String == "rawtp")
    #expect(kernel["unheard_frees"] as? [String] == ["kfree_rcu"])
    #expect((kernel["totals"] as? [String: Any])?["outstanding_count"] as? Int == 1001)
    let sites = try #require(kernel["sites"] as? [[String: Any]])
    #expect(sites.first?["cache"] as? String == "kmalloc-256")
    #expect(sites.first?["domain"] as? String == "slab")
    #expect(sites.first?["corroborated"] as? Bool == true)
    #expect(sites.first?["caller_only"] as? Bool == false)
    #expect(sites.last?["caller_only"] as? Bool == true)
    #expect(sites.last?["caveat"] as? String == "the kernel shrinks it")
    let cache = try #require((kernel["caches"] as? [[String: Any]])?.first)
    #expect(cache["growth"] as? Int == 1000)
    #expect(cache["tracked_count"] as? Int == 1000)
    // Without the kernel there is no such field.
    #expect(!JSONReport.render(nothing).contains("\"kernel\":{"))
  }

  @Test("folded: below one root")
  func folded() {
    let text = FoldedReport.render(Self.sample)
    #expect(text.split(separator: "\n").contains("kernel;ipcget;newque;__kmalloc_noprof 256000"))
  }
}

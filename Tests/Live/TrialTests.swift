import Binaries
import Capture
import Foundation
import Probes
import Processes
import Profile
import Testing

/// What happens when the analysis of a function was wrong: the live trial must notice, for from then on nothing would.
@Suite("trials of one-trap sites", .enabled(if: canRunLive), .serialized)
struct TrialTests {
  @Test(
    "sites that tell a wrong size or result are refused, told of, and never counted by",
    arguments: [true, false])
  func contradiction(isSize: Bool) async throws {
    let program = try Child(DripBinary.workload("one_site"), ["500", "1000"])
    try #require(program.waitForLine { $0 == "READY" } != nil)
    let target = try TargetProcess.open(pid: program.pid)
    var plan = try Self.plan(for: target)
    let changed = Self.spoil(&plan, isSize: isSize)
    try #require(changed > 0, "this C library's malloc has no one-trap sites")
    let capture = try LiveCapture(
      target: target, plan: plan, options: CaptureOptions(maxLive: 10_000, maxSites: 1024), cpus: 64)
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("DONE") } != nil)
    _ = await capture.maintain()
    #expect(await capture.oneTrapFunctions(of: 0).isEmpty)
    #expect(await !capture.isOnTrial, "it is decided")
    let snapshot = try await capture.snapshot()
    #expect(snapshot.losses[.oneTrapMismatches] > 0)
    #expect(await capture.notes.contains { $0.contains("malloc: sites inside of it contradicted") })
    #expect(snapshot.sites.map(\.allocs) == [500])
    #expect(snapshot.sites.map(\.allocatedBytes) == [500_000])
    program.send("GO")
    try #require(program.waitForLine { $0.hasPrefix("FREED") } != nil)
    let after = try await capture.snapshot()
    #expect(after.sites.map(\.frees) == [500])
    await capture.detach()
    program.closeInput()
    _ = program.finish()
  }

  /// The allocators of a program that has no other than its C library's.
  static func plan(for target: TargetProcess) throws -> ProbePlan {
    try ProbePlan.make(candidates: candidates(for: target))
  }

  static func candidates(for target: TargetProcess) throws -> [PlanCandidate] {
    let pid = target.identity.pid
    var candidates: [PlanCandidate] = []
    for module in MemoryMap.modules(try MemoryMap.read(pid: pid)) where module.isExecutable {
      let elf = try? ELFFile(try FileBytes(path: module.path))
      guard let elf else { continue }
      candidates.append(
        PlanCandidate(
          path: module.path, displayPath: module.path, images: try AllocatorImage.images(in: elf), elf: elf,
          isExecutable: module.path == target.identity.executable))
    }
    return candidates
  }

  /// Takes another register for the size or the result at every site; returns how many were changed. The stack
  /// pointer is never either of them.
  private static func spoil(_ plan: inout ProbePlan, isSize: Bool) -> Int {
    var changed = 0
    for file in plan.files.indices {
      for function in plan.files[file].oneTrap.indices {
        for site in plan.files[file].oneTrap[function].sites.indices {
          if isSize, plan.files[file].oneTrap[function].sites[site].site.size != nil {
            plan.files[file].oneTrap[function].sites[site].site.size = .register(4)
            changed += 1
          } else if !isSize, plan.files[file].oneTrap[function].sites[site].site.result != nil {
            plan.files[file].oneTrap[function].sites[site].site.result = .register(4)
            changed += 1
          }
        }
      }
    }
    return changed
  }
}

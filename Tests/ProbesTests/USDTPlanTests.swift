import Foundation
import Testing

@testable import Binaries
@testable import Probes

@Suite("USDT plans", .enabled(if: access("/usr/bin/gcc", X_OK) == 0, "gcc is not installed"))
struct USDTPlanTests {
  /// The workload of the live tests, changed as a test wants it, as gcc builds it.
  private func elf(_ changes: [(String, String)] = [], flags: [String] = ["-O2"]) throws -> ELFFile {
    let workloads = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Workloads")
    var source = try String(contentsOf: workloads.appending(path: "usdt_sampler.c"), encoding: .utf8)
    for (old, new) in changes {
      try #require(source.contains(old))
      source = source.replacingOccurrences(of: old, with: new)
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "drip-usdt-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.path + "/sampler"
    try source.write(toFile: path + ".c", atomically: true, encoding: .utf8)
    let gcc = Process()
    gcc.executableURL = URL(fileURLWithPath: "/usr/bin/gcc")
    gcc.arguments = ["-std=gnu11", "-I", workloads.path, "-o", path, path + ".c"] + flags
    try gcc.run()
    gcc.waitUntilExit()
    try #require(gcc.terminationStatus == 0)
    let file = try FileBytes(path: path)
    return try ELFFile(MemoryBytes(try file.read(at: 0, count: Int(file.count))))
  }

  private func refusal(_ elf: ELFFile) throws -> USDTPlan.Refusal {
    try #require(throws: USDTPlan.Refusal.self) { try USDTPlan.make(elf: elf) }
  }

  @Test(
    "the workload", arguments: [["-O2"], ["-O0"], ["-O1", "-fno-omit-frame-pointer"], ["-O2", "-no-pie"]])
  func workload(flags: [String]) throws {
    let elf = try elf(flags: flags)
    let plan = try #require(try USDTPlan.make(elf: elf))
    #expect(plan.sites.map(\.event) == [.alloc, .free])
    for site in plan.sites {
      #expect(try elf.bytes(at: site.usdt.fileOffset, count: 1) == [0x90] && site.usdt.isEmulated)
    }
    let counters = try #require(elf.section(named: ".probes"))
    #expect(Set(plan.sites.map(\.usdt.semaphoreOffset)) == [counters.offset, counters.offset + 2])
    let (alloc, free) = (plan.sites[0], plan.sites[1])
    #expect(alloc.size == alloc.usdt.arguments[1] && alloc.weightedBytes == alloc.usdt.arguments[2])
    #expect(alloc.pointer == alloc.usdt.arguments[0] && free.pointer == free.usdt.arguments[0])
    #expect(free.size == nil && free.weightedBytes == nil)
    #expect((alloc.usdt.arguments + free.usdt.arguments).allSatisfy { $0.size == 8 && !$0.isSigned })
  }

  @Test("sites that were inlined into many places")
  func inlined() throws {
    let elf = try elf(
      [
        (
          "FRAME static void *sampled_malloc",
          "__attribute__((always_inline)) static inline void *sampled_malloc"
        ),
        ("FRAME static void sampled_free", "__attribute__((always_inline)) static inline void sampled_free"),
      ])
    let plan = try #require(try USDTPlan.make(elf: elf))
    #expect(plan.sites.filter { $0.event == .alloc }.count == 6)
    #expect(Set(plan.sites.map(\.usdt.fileOffset)).count == plan.sites.count)
    #expect(plan.sites.map(\.event.rawValue) == plan.sites.map(\.event.rawValue).sorted())
  }

  @Test("programs without such probes", arguments: ["/usr/bin/python3", "/lib/x86_64-linux-gnu/libc.so.6"])
  func none(path: String) throws {
    #expect(try USDTPlan.make(elf: try ELFFile(try FileBytes(path: path))) == nil)
  }

  @Test("all or nothing")
  func refusals() throws {
    // Without frees everything would look outstanding.
    let unpaired = try refusal(
      try elf([
        ("TRACE_POINT(otel_memory, free", "TRACE_POINT(otel_memory, other"),
        (
          "SEMAPHORE otel_memory_free_semaphore;",
          "SEMAPHORE otel_memory_free_semaphore, otel_memory_other_semaphore;"
        ),
      ]))
    #expect(unpaired.reasons == ["there is no free"])
    let short = try refusal(try elf([("8@%0 8@%1 8@%2", "8@%0 8@%1")]))
    #expect(short.reasons.count == 1 && short.reasons[0].contains("it has 2 arguments"))
    let empty = try refusal(try elf([("free, \"8@%0\"", "free, \"\"")]))
    #expect(empty.reasons.count == 1 && empty.reasons[0].contains("it has 0 arguments"))
    let symbol = try refusal(try elf([("free, \"8@%0\"", "free, \"8@passed(%%rip)\"")]))
    #expect(symbol.description.contains("passed(%rip)") && symbol.description.contains("free at 0x"))
    let same = try refusal(try elf([(".8byte 990b", ".8byte main")]))
    #expect(same.reasons.count == 1 && same.reasons[0].hasSuffix("another probe stands at the same place"))
    // sampled_malloc calls, so its frame is safe for a 5-byte nop; a leaf is not.
    let leaf = try refusal(
      try elf([
        ("990:\tnop", "990:\t.byte 0x0f, 0x1f, 0x44, 0, 0"),
        (
          "FRAME static void *sampled_malloc",
          "FRAME static void probe(void *pointer) "
            + "{ TRACE_POINT(otel_memory, free, \"8@%0\", \"r\"(pointer)); }\nFRAME static void *sampled_malloc"
        ),
        ("TRACE_POINT(otel_memory, free, \"8@%0\", \"nor\"(pointer))", "probe(pointer)"),
      ]))
    #expect(leaf.reasons.count == 1 && leaf.reasons[0].contains("overwrites what lies below rsp"))
  }
}

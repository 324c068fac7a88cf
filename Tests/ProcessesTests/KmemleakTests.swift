import Glibc
import Testing

@testable import Processes

/// Texts in the format of Documentation/dev-tools/kmemleak.rst and of mm/kmemleak.c of several versions.
@Suite("kmemleak")
struct KmemleakTests {
  /// Up to 6.7: ages, and scrambled addresses before the names.
  static let old = """
    unreferenced object 0xffff888004a3c400 (size 512):
      comm "insmod", pid 85, jiffies 4294894652 (age 17.368s)
      hex dump (first 32 bytes):
        6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b  kkkkkkkkkkkkkkkk
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
      backtrace:
        [<00000000f2bbb441>] kmalloc_trace+0x26/0xa0
        [<000000009d5f1c2b>] drip_leak_kmalloc+0x1b/0x40 [dripleak]
        [<00000000c3a5e9b7>] write_file+0x9c/0x120 [dripleak]
        [<0000000018a1c0de>] proc_reg_write+0x55/0xa0
    unreferenced object 0xffffc90000115000 (size 12288):
      comm "softirq", pid 0, jiffies 4294894700 (age 17.100s)
      hex dump (first 32 bytes):
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
      backtrace:
        [<0000000012345678>] __vmalloc_node_range+0x53f/0x5a0
        [<ffffffffc02d4094>] 0xffffffffc02d4094

    """
  /// From 6.8: a checksum and no age; from 6.10 names alone.
  static let new = """
    unreferenced object 0xffff888004a3c400 (size 512):
      comm "sh", pid 85, jiffies 4294894652
      hex dump (first 16 bytes):
        6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b  kkkkkkkkkkkkkkkk
      backtrace (crc 7bd6af23):
        __kmalloc_cache_noprof+0x2a6/0x350
        drip_leak_kmalloc+0x1b/0x40 [dripleak]
        write_file+0x9c/0x120 [dripleak]
        proc_reg_write+0x55/0xa0
    unreferenced object (percpu) 0x607f81a0 (size 64):
      comm "swapper/0", pid 1, jiffies 4294667296
      hex dump (first 32 bytes on cpu 1):
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
      backtrace (crc 0):
        pcpu_alloc_noprof+0x4e2/0x7c0

    """

  private static func report(_ text: String) -> KmemleakReport { KmemleakReport(Array(text.utf8)) }

  private static func frame(_ function: String?, _ offset: UInt64, _ module: String? = nil)
    -> KmemleakReport.Frame
  {
    KmemleakReport.Frame(function: function, module: module, offset: offset)
  }

  @Test("objects of older kernels")
  func older() throws {
    let report = Self.report(Self.old)
    #expect(report.strangeLines == 0)
    try #require(report.objects.count == 2)
    #expect(
      report.objects[0]
        == KmemleakReport.Object(
          address: 0xffff_8880_04a3_c400, size: 512, kind: nil, command: "insmod", pid: 85,
          jiffies: 4_294_894_652,
          ageSeconds: 17.368,
          frames: [
            Self.frame("kmalloc_trace", 0x26), Self.frame("drip_leak_kmalloc", 0x1b, "dripleak"),
            Self.frame("write_file", 0x9c, "dripleak"), Self.frame("proc_reg_write", 0x55),
          ]))
    #expect(report.objects[1].command == "softirq")
    #expect(report.objects[1].pid == 0)
    #expect(
      report.objects[1].frames == [
        Self.frame("__vmalloc_node_range", 0x53f), Self.frame(nil, 0xffff_ffff_c02d_4094),
      ])
  }

  @Test("objects of newer kernels")
  func newer() throws {
    let report = Self.report(Self.new)
    #expect(report.strangeLines == 0)
    try #require(report.objects.count == 2)
    #expect(report.objects[0].ageSeconds == nil)
    #expect(report.objects[0].jiffies == 4_294_894_652)
    #expect(report.objects[0].frames.map(\.function).last == "proc_reg_write")
    #expect(report.objects[1].kind == "percpu")
    #expect(report.objects[1].address == 0x607f_81a0)
    #expect(report.objects[1].size == 64)
    #expect(report.objects[1].frames == [Self.frame("pcpu_alloc_noprof", 0x4e2)])
  }

  @Test("an object without bytes, and the end of the text in the middle")
  func cut() throws {
    let whole = """
      unreferenced object 0xffff888004a3c400 (size 512):
        comm "sh", pid 85, jiffies 4294894652
        backtrace:
          [<0000000012345678>] f+0x1/0x2
      """
    #expect(Self.report(whole).objects.first?.frames == [Self.frame("f", 1)])
    for length in 0...whole.utf8.count {
      let report = KmemleakReport(Array(whole.utf8.prefix(length)))
      #expect(report.objects.count <= 1)
    }
    #expect(Self.report("").objects.isEmpty)
  }

  @Test(
    "a process's name may hold anything",
    arguments: [
      "a\nb", "a \"quoted\", name", "\n", "x\", pid 7, ji", "\u{301}", "\u{1b}[2J", "\n    f+0x1/0x2",
      "\n  backtrace:",
      "\n  hex dump (",
    ])
  func names(name: String) throws {
    let report = Self.report(
      """
      unreferenced object 0xffff888004a3c400 (size 512):
        comm "\(name)", pid 85, jiffies 4294894652
        backtrace (crc 1):
          real+0x1/0x2
      unreferenced object 0xffff888004a3c800 (size 8):
        comm "after", pid 86, jiffies 4294894653
        backtrace (crc 1):
          other+0x1/0x2
      """)
    try #require(report.objects.count == 2)
    #expect(report.objects[0].pid == 85)
    #expect(report.objects[0].frames == [Self.frame("real", 1)])
    #expect(!report.objects[0].command.unicodeScalars.contains { $0.value < 32 })
    #expect(report.objects[1].command == "after")
  }

  @Test(
    "what is not as documented is counted, and makes no object",
    arguments: [
      "kmemleak: 2 new suspected memory leaks", "unreferenced object ffff888004a3c400 (size 512):",
      "unreferenced object 0xffff888004a3c400 (size many):", "unreferenced object 0xffff888004a3c400",
    ])
  func strange(line: String) {
    let report = Self.report(line)
    #expect(report.objects.isEmpty)
    #expect(report.strangeLines == 1)
  }

  @Test(
    "strange lines inside of an object",
    arguments: [
      "    f+0x1", "    f+1/2", "    f", "    +0x1/0x2", "    f+0x1/0x2 mod", "    f+0x1/0x2 [a] [b]",
      "  f+0x1/0x2",
    ])
  func strangeFrames(line: String) {
    let report = Self.report(
      "unreferenced object 0xf (size 1):\n  comm \"a\", pid 1, jiffies 1\n  backtrace:\n\(line)\n    g+0x1/0x2"
    )
    #expect(report.strangeLines == 1)
    #expect(report.objects.first?.frames == [Self.frame("g", 1)])
  }

  @Test("more objects than there is room for are counted")
  func many() {
    let object =
      "unreferenced object 0xf (size 1):\n  comm \"a\", pid 1, jiffies 1\n  backtrace:\n    f+0x1/0x2\n"
    let report = Self.report(String(repeating: object, count: KmemleakReport.most + 3))
    #expect(report.objects.count == KmemleakReport.most)
    #expect(report.omitted == 3)
  }

  private static func isAllocator(_ frame: KmemleakReport.Frame) -> Bool {
    frame.function?.hasPrefix("kmalloc") == true || frame.function?.hasPrefix("__kmalloc") == true
  }

  @Test("the same stack, hooked elsewhere in the allocator", arguments: [old, new])
  func matching(text: String) {
    let report = Self.report(text)
    let callers = [
      Self.frame("drip_leak_kmalloc", 0x1b, "dripleak"), Self.frame("write_file", 0x9c, "dripleak"),
      Self.frame("proc_reg_write", 0x55), Self.frame("vfs_write", 0xc4), Self.frame("ksys_write", 0x5f),
    ]
    func found(_ stack: [KmemleakReport.Frame]) -> (count: Int, bytes: UInt64) {
      report.unreferenced(by: stack, isAllocator: Self.isAllocator)
    }
    // By a kprobe, by a tracepoint, and by the caller alone.
    for stack in [
      [Self.frame("kmalloc_trace", 1)] + callers,
      [Self.frame("kmalloc_trace", 0x9a), Self.frame("__kmalloc_cache_noprof", 2)] + callers, callers,
      Array(callers.prefix(1)),
    ] {
      #expect(found(stack) == (1, 512))
    }
    // Another call in the same function, another caller, nothing but the allocator, and nothing.
    #expect(found([Self.frame("drip_leak_kmalloc", 0x1c, "dripleak")] + callers.dropFirst()).count == 0)
    #expect(found([Self.frame("drip_leak_kmalloc", 0x1b)] + callers.dropFirst()).count == 0)
    #expect(found([callers[0], Self.frame("write_file", 0x44, "dripleak")]).count == 0)
    #expect(found([Self.frame("kmalloc_trace", 0x26)]).count == 0)
    #expect(found([]).count == 0)
    #expect(found([Self.frame(nil, 0xffff_ffff_c02d_4094)]).count == 0)
  }

  @Test("a kernel without it says so; one that has it gives a report")
  func absent() throws {
    #expect(throws: KmemleakReport.Absence.none) { try KmemleakReport.read(path: "/nonexistent/kmemleak") }
    #expect(throws: KmemleakReport.Absence.none) { try KmemleakReport.scan(path: "/nonexistent/kmemleak") }
    #expect(throws: KmemleakReport.Absence.unreadable(code: EISDIR)) {
      try KmemleakReport.read(path: "/proc")
    }
    #expect(!KmemleakReport.Absence.unreadable(code: EACCES).reason.isEmpty)
    guard geteuid() == 0, access("/sys/kernel/debug", R_OK) == 0 else { return }
    if access(KmemleakReport.path, R_OK) == 0 {
      #expect(try KmemleakReport.read().strangeLines == 0)
    } else {
      #expect(throws: KmemleakReport.Absence.none) { try KmemleakReport.read() }
    }
  }
}

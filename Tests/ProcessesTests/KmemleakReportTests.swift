import Testing

@testable import Processes

@Suite("kmemleak's report")
struct KmemleakReportTests {
  /// As Linux 6.1 prints it.
  private static let old = """
    unreferenced object 0xffff888003a52000 (size 512):
      comm "insmod", pid 101, jiffies 4294892864 (age 14.120s)
      hex dump (first 32 bytes):
        6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b 6b  kkkkkkkkkkkkkkkk
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
      backtrace:
        [<00000000f1a9c3e4>] kmalloc_trace+0x1d/0x80
        [<000000008d0b2a11>] drip_leak_kmalloc+0x1b/0x40 [dripleak]
        [<00000000a0b1c2d3>] write_file+0x72/0xa0 [dripleak]
        [<0000000012345678>] proc_reg_write+0x55/0xa0

    """
  /// As Linux 6.12 does.
  private static let new = """
    unreferenced object 0xffff888003a52200 (size 20):
      comm "a "quoted", name", pid 7, jiffies 4294892999
      hex dump (first 20 bytes):
        61 73 20 6c                                      as l
      backtrace (crc 3bd0c4e5):
        __kmalloc_node_track_caller_noprof+0x23b/0x350
        kmemdup_noprof+0x24/0x50
        drip_leak_memdup+0x20/0x60 [dripleak]
        write_file+0x72/0xa0 [dripleak]
    """

  @Test("both forms of a backtrace, and who allocated")
  func parse() throws {
    let report = KmemleakReport(Self.old + Self.new)
    #expect(report.objects.count == 2)
    let first = try #require(report.objects.first)
    #expect(
      (first.address, first.size, first.command, first.pid) == (0xffff_8880_03a5_2000, 512, "insmod", 101))
    #expect(
      first.frames.map(\.function) == ["kmalloc_trace", "drip_leak_kmalloc", "write_file", "proc_reg_write"])
    #expect(first.frames.map(\.module) == [nil, "dripleak", "dripleak", nil])
    #expect(first.frames.map(\.offset) == [0x1d, 0x1b, 0x72, 0x55])
    let second = try #require(report.objects.last)
    #expect(second.command == "a \"quoted\", name")
    #expect((second.pid, second.size) == (7, 20))
    #expect(second.frames.count == 4)
  }

  @Test("a stack is found that begins elsewhere in the allocator, and no other one")
  func match() {
    let report = KmemleakReport(Self.old + Self.new)
    let leak = KmemleakReport.Frame(function: "drip_leak_kmalloc", offset: 0x1b, module: "dripleak")
    let write = KmemleakReport.Frame(function: "write_file", offset: 0x72, module: "dripleak")
    let proc = KmemleakReport.Frame(function: "proc_reg_write", offset: 0x55)
    let inner = KmemleakReport.Frame(function: "kmalloc_trace", offset: 0x1c)
    let outer = KmemleakReport.Frame(function: "vfs_write", offset: 0x100)
    #expect(report.count(stack: [inner, leak, write, proc, outer]) == 1)
    let other = KmemleakReport.Frame(function: "drip_leak_kmalloc", offset: 0x30, module: "dripleak")
    #expect(report.count(stack: [inner, other]) == 0)
    // Another way to the same caller.
    #expect(report.count(stack: [inner, leak, outer]) == 0)
    #expect(report.count(stack: []) == 0)
  }

  @Test("what is no report has no objects, and damage costs an object at most")
  func damage() {
    #expect(KmemleakReport("").objects.isEmpty)
    #expect(KmemleakReport("kmemleak: disabled\n").objects.isEmpty)
    let damaged = "unreferenced object 0xzz (size 512):\n  comm \n" + Self.old
    #expect(KmemleakReport(damaged).objects.count == 1)
    #expect(
      KmemleakReport("unreferenced object 0x10 (size 5):\n  backtrace:\n    nonsense\n    f+\n    f+0\n")
        .objects.first?.frames.isEmpty == true)
  }
}

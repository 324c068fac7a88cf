import Glibc
import Testing

@testable import Processes

@Suite("/proc files")
struct ProcessStatTests {
  private func parsed(_ command: String, _ state: String = "S") -> ProcessStat? {
    ProcessStat(
      Array("7 (\(command)) \(state) 1 2 3 4 5 2129984 7 8 9 10 11 12 13 14 15 16 17 18 424242 19 20\n".utf8))
  }

  @Test("any name", arguments: ["a", "", "a) b (", ") R 1 1 1 1", "((", "))", "\u{301}", "a\u{301}", "x\r"])
  func names(name: String) throws {
    let stat = try #require(parsed(name))
    #expect(stat.command == name)
    #expect(stat.startTicks == 424_242)
    #expect(stat.isKernelThread)
    #expect(!stat.isZombie)
  }

  @Test("states")
  func states() {
    #expect(parsed("a", "Z")?.isZombie == true)
    #expect(parsed("a", "X")?.isZombie == true)
    #expect(parsed("a", "R")?.isZombie == false)
  }

  @Test(
    "what is no stat", arguments: ["", "7", "7 (a", "7 a)", ")(", "7 (a) S 1 2", "7 (a) SS 1 2 3 4 5 6 7"])
  func malformed(text: String) {
    #expect(ProcessStat(Array(text.utf8)) == nil)
  }

  @Test("fields of a status file; a name cannot hide them")
  func fields() {
    let status = Array("Name:\tx\r\nTgid:\t42\nCapEff:\t000001ff\n".utf8)
    #expect(ProcFile.field("Tgid", in: status) == "42")
    #expect(ProcFile.field("CapEff", in: status) == "000001ff")
    #expect(ProcFile.field("Tg", in: status) == nil)
  }

  @Test("reads end at their limit")
  func limit() throws {
    #expect(try ProcFile.read("/dev/zero", limit: 100_000).count == 100_000)
    #expect(throws: Errno(code: ENOENT)) { try ProcFile.read("/nonexistent") }
  }
}

@Suite("system facts")
struct SystemFactsTests {
  @Test("this system")
  func thisSystem() {
    let facts = SystemFacts.read()
    #expect(!facts.kernelRelease.isEmpty)
    #expect(facts.effectiveUser == geteuid())
    #expect(facts.possibleCPUs >= 1)
    #expect(facts.pageSize >= 4096)
    #expect(facts.perfEventParanoid != nil)
    if access("/sys/bus/event_source/devices/uprobe/type", R_OK) == 0 {
      #expect(facts.uprobeEventType != nil)
    }
  }

  @Test("lists of CPUs")
  func lists() {
    #expect(SystemFacts.countOfList("0\n") == 1)
    #expect(SystemFacts.countOfList("0-3\n") == 4)
    #expect(SystemFacts.countOfList("0-1,4,8-9") == 5)
    for text in ["", "\n", "x", "3-1", "-1", "0-", "0-1-2", "0-99999999999"] {
      #expect(SystemFacts.countOfList(text) == nil, "\(text)")
    }
  }

  @Test("the mode in brackets")
  func lockdown() {
    #expect(SystemFacts.activeChoice("none [integrity] confidentiality\n") == "integrity")
    #expect(SystemFacts.activeChoice("none") == nil)
    #expect(SystemFacts.activeChoice("]none[") == nil)
  }

  @Test("which capabilities suffice")
  func capabilities() {
    var facts = SystemFacts.read()
    func mask(_ capabilities: SystemFacts.Capability...) -> UInt64 {
      capabilities.reduce(0) { $0 | 1 << $1.rawValue }
    }
    facts.capabilities = 0
    #expect(!facts.canTrace)
    facts.capabilities = mask(.sysAdmin)
    #expect(facts.canTrace)
    facts.capabilities = mask(.bpf, .perfmon)
    #expect(!facts.canTrace)
    facts.capabilities = mask(.bpf, .perfmon, .sysPtrace)
    #expect(facts.canTrace)
  }
}

import Foundation
import Testing

@testable import Processes

@Suite("the table of all processes")
struct ProcessTableTests {
  private func look() throws -> ProcessTable.Look {
    var table = ProcessTable()
    let look = table.read()
    return try #require(look)
  }

  private func facts(_ text: String) -> ProcessTable.Facts? { ProcessTable.Facts(Array(text.utf8)[...]) }

  @Test("itself, with what status says of it")
  func own() throws {
    let before = try #require(MemoryUse.read(pid: getpid()))
    let look = try look()
    let one = try #require(look.processes.first { $0.pid == getpid() })
    let stat = try ProcessFiles.stat(getpid())
    #expect(one.startTicks == stat.startTicks)
    #expect(String(decoding: one.command, as: UTF8.self) == stat.command)
    // Counted by the kernel in each CPU apart, and by threads that run beside this one.
    for (here, there) in [(one.resident, before.resident), (one.anonymous, before.anonymous)] {
      #expect(Double(here) > Double(there) * 0.8 && Double(here) < Double(there) * 1.25, "\(here) \(there)")
    }
    #expect(one.own == one.anonymous + one.swapped && one.resident > one.anonymous)
  }

  @Test("no threads of the kernel's, no zombies; an exec makes another image")
  func others() throws {
    let child = try Child("/bin/sh", ["-c", "sleep 0.3; exec sleep 1000"])
    let first = try look()
    #expect(!first.processes.contains { $0.pid == 2 })
    let shell = try #require(first.processes.first { $0.pid == child.pid })
    var sleeper: ProcessReading?
    while sleeper.map({ $0.image == shell.image }) ?? true {
      sleeper = try look().processes.first { $0.pid == child.pid }
      usleep(10_000)
    }
    #expect(sleeper?.startTicks == shell.startTicks)
    #expect(ProcessFacts.read(pid: child.pid).executable.hasSuffix("sleep"))
    #expect(!ProcessFacts.read(pid: child.pid).cgroup.isEmpty)
    kill(child.pid, SIGKILL)
    while try look().processes.contains(where: { $0.pid == child.pid }) { usleep(1000) }
    child.collect()
  }

  @Test("commands of any bytes; texts that are cut or wrong")
  func parsing() throws {
    let rest =
      "S 1 2 3 4 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 229417 3133440 383 18446744073709551615 11 22 33 0 0"
    let one = try #require(facts("12 (a) b\n(c) \(rest)\n"))
    #expect(one.command == Array("a) b\n(c".utf8) && one.startTicks == 229_417)
    #expect(!one.isKernelThread && !one.isZombie)
    let other = try #require(facts("12 (a) \(rest.replacing("11 22 33", with: "11 22 34"))"))
    let third = try #require(facts("12 (a) \(rest.replacing("11 22 33", with: "12 22 33"))"))
    #expect(Set([one.image, other.image, third.image]).count == 3)
    #expect(facts("12 (a) \(rest.replacing("4194304", with: "2129984"))")?.isKernelThread == true)
    #expect(facts("12 (a) \(rest.replacing("S 1", with: "Z 1"))")?.isZombie == true)
    #expect(try #require(facts("1 (\(String(repeating: "x", count: 300))) \(rest)")).command.count == 64)
    for text in ["", "12 (a", "12 (a)", "12 (a) ", "12 (a) S 1 2", "12 (a) S x y", ")("] {
      #expect(facts(text) == nil, "\(text)")
    }
  }

  @Test("CPU time is that of the process")
  func cpu() throws {
    let start = try #require(ProcessCPU.seconds(pid: getpid()))
    var own = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own)
    let exact = Double(own.tv_sec) + Double(own.tv_nsec) / 1e9
    #expect(start <= exact + 0.1 && start > exact / 2 - 0.1)
    #expect(ProcessCPU.seconds(pid: -1) == nil)
  }
}

@Suite("memory of control groups")
struct GroupMemoryTests {
  private func folder(_ files: [String: String]) throws -> String {
    let path = NSTemporaryDirectory() + "drip-group-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (name, text) in files { try text.write(toFile: path + "/" + name, atomically: true, encoding: .utf8) }
    return path
  }

  @Test("version 2")
  func unified() throws {
    let path = try folder([
      "memory.current": "1000\n", "memory.swap.current": "20\n", "memory.max": "5000\n",
      "memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n",
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(
      GroupMemoryReader.unified(path) == GroupMemory(current: 1000, swapped: 20, limit: 5000, killed: 2))
    try "max\n".write(toFile: path + "/memory.max", atomically: true, encoding: .utf8)
    #expect(GroupMemoryReader.unified(path)?.limit == nil)
    #expect(GroupMemoryReader.legacy(path) == nil)
  }

  @Test("version 1")
  func legacy() throws {
    let path = try folder([
      "memory.usage_in_bytes": "1000\n", "memory.memsw.usage_in_bytes": "1500\n",
      "memory.limit_in_bytes": "9223372036854771712\n",
      "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(GroupMemoryReader.legacy(path) == GroupMemory(current: 1000, swapped: 500, limit: nil, killed: 4))
    #expect(GroupMemoryReader.unified(path) == nil)
  }

  @Test("this machine's, where it has any")
  func here() {
    let group = ProcessFacts.read(pid: getpid()).cgroup
    guard let memory = GroupMemoryReader().read(group) else { return }
    #expect(memory.current > 0)
    #expect(GroupMemoryReader().read("/no/such/group") == nil)
    #expect(GroupMemoryReader().read("/../x") == nil)
  }
}

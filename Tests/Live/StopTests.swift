import Foundation
import PointerScan
import Processes
import Profile
import Testing

/// Stopping a process must leave no trace in it.
@Suite("stopping a process", .enabled(if: canRunLive), .serialized)
struct StopTests {
  private func number(_ name: String, of pid: Int32) -> Int32 {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return Int32(line?.split(separator: "\t").last ?? "") ?? -1
  }

  /// The process that traces this one, of which the kernel names the thread; 0 for none.
  private func tracer(of pid: Int32) -> Int32 {
    let thread = number("TracerPid", of: pid)
    return thread > 0 ? number("Tgid", of: thread) : thread
  }

  private func states(of pid: Int32) throws -> [Character] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").compactMap { thread in
      guard let text = try? String(contentsOfFile: "/proc/\(pid)/task/\(thread)/stat", encoding: .utf8),
        let end = text.lastIndex(of: ")")
      else { return nil }
      return text[end...].dropFirst(2).first
    }
  }

  @Test("no system call sees it: none returns early, none fails with EINTR")
  func systemCalls() throws {
    let child = try Child(DripBinary.workload("blocked"))
    try #require(child.waitForLine { $0 == "READY" } != nil)
    try eventually("all threads wait") { try states(of: child.pid).filter { $0 == "S" }.count >= 12 }
    for _ in 0..<30 {
      let stopper = try TargetStopper(pid: child.pid, seconds: 10)
      #expect(stopper.isFrozen)
      #expect(stopper.threads.count == 14)
      #expect(try states(of: child.pid).allSatisfy { $0 == "t" })
      #expect(stopper.release().isWhole)
      // The parent is told of nothing.
      var status: CInt = 0
      #expect(waitpid(child.pid, &status, WNOHANG | WUNTRACED | WCONTINUED_) == 0)
      try eventually("all threads wait again") { try states(of: child.pid).filter { $0 == "S" }.count >= 12 }
    }
    child.send("GO")
    var lines = 0
    while let line = child.line(), line != "DONE" {
      lines += 1
      #expect(line.hasSuffix(" 0 0"), "\(line)")
    }
    #expect(lines == 13)
    child.send("END")
    #expect(child.wait() == 0)
  }

  @Test("a signal that comes meanwhile is not lost, and ends a call as it would have")
  func signals() throws {
    let child = try Child(
      "/usr/bin/python3",
      [
        "-c",
        """
        import os, select, signal
        got = []
        def handle(*a):
            got.append(1)
            print('GOT', flush=True)
            if len(got) == 20: os._exit(7)
        signal.signal(signal.SIGUSR1, handle)
        print('READY', flush=True)
        while True:
            select.epoll().poll(5)
            print('LATE', flush=True)
        """,
      ])
    try #require(child.line() == "READY")
    for _ in 0..<20 {
      // Before it waits, a signal might come too early for Python's own loop.
      try eventually("it waits") { try states(of: child.pid) == ["S"] }
      let stopper = try TargetStopper(pid: child.pid, seconds: 10)
      child.signal(SIGUSR1)
      stopper.release()
      try #require(child.line() == "GOT")
    }
    #expect(child.wait() == 7)
  }

  @Test("when the time is over the process goes on, whatever the owner does")
  func watchdog() throws {
    let child = try Child(DripBinary.workload("blocked"))
    try #require(child.waitForLine { $0 == "READY" } != nil)
    let stopper = try TargetStopper(pid: child.pid, seconds: 0.05)
    #expect(tracer(of: child.pid) == getpid())
    try eventually("it is let go") { tracer(of: child.pid) == 0 }
    let ending = stopper.release()
    #expect(!ending.isWhole)
    #expect(ending.seconds >= 0.05)
    child.send("GO")
    #expect(child.waitForLine { $0 == "DONE" } != nil)
  }

  @Test("threads that are born meanwhile stand still too")
  func newThreads() throws {
    let child = try Child(
      "/usr/bin/python3",
      [
        "-c",
        """
        import threading, time
        print('READY', flush=True)
        def f(n):
            if n: threading.Thread(target=f, args=(n - 1,), daemon=True).start()
            time.sleep(0.002)
        while True:
            f(5); f(3)
        """,
      ])
    try #require(child.line() == "READY")
    var most = 0
    for _ in 0..<40 {
      let stopper = try TargetStopper(pid: child.pid, seconds: 10)
      let found = try states(of: child.pid)
      most = max(most, found.count)
      #expect(stopper.isFrozen && found.allSatisfy { $0 == "t" }, "\(found)")
      #expect(stopper.threads.count == found.count)
      stopper.release()
    }
    #expect(most > 2)
  }

  @Test("a thread in uninterruptible sleep is not waited for, and what is found is not taken for sure")
  func uninterruptible() async throws {
    let child = try Child(DripBinary.workload("blocked"), ["vfork"])
    try #require(child.waitForLine { $0 == "READY" } != nil)
    try eventually("a thread waits for its child") { try states(of: child.pid).contains("D") }
    let stopper = try TargetStopper(pid: child.pid, seconds: 20)
    #expect(!stopper.isFrozen)
    #expect(stopper.threads.count == 14)
    #expect(try states(of: child.pid).filter { $0 == "t" }.count == 14)
    #expect(stopper.release().isWhole)
    try eventually("all are let go") {
      try tracer(of: child.pid) == 0 && !states(of: child.pid).contains("t")
    }
    let object = LiveObject(address: 0x1000, size: 8, birth: 0, site: 1)
    let inspection = try await Inspection.run(
      pid: child.pid, sites: [1], options: Inspection.Options(), known: { [object] }, pause: { true })
    #expect(inspection?.isFrozen == false && inspection?.scans.count == 2)
    kill(try vforked(child.pid), SIGKILL)
  }

  private func vforked(_ pid: Int32) throws -> Int32 {
    for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task") {
      let text = try String(contentsOfFile: "/proc/\(pid)/task/\(thread)/children", encoding: .utf8)
      if let child = Int32(text.split(separator: " ").first ?? "") { return child }
    }
    throw CocoaError(.fileNoSuchFile)
  }

  @Test("a process that a job control signal has stopped stays stopped")
  func alreadyStopped() throws {
    let child = try Child("/bin/sleep", ["100"])
    child.signal(SIGSTOP)
    try eventually("it is stopped") { try states(of: child.pid) == ["T"] }
    let stopper = try TargetStopper(pid: child.pid, seconds: 10)
    #expect(stopper.isFrozen)
    stopper.release()
    try eventually("it is stopped still") { try states(of: child.pid) == ["T"] }
    child.signal(SIGCONT)
    try eventually("it runs") { try states(of: child.pid) == ["S"] }
  }

  @Test("drip killed by SIGKILL in the middle of a search leaves the target running")
  func killed() throws {
    let workload = try Child(DripBinary.workload("reach"), ["1000", "600"])
    try #require(workload.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(workload.pid)", "--duration", "1s", "--confirm", "--max-stop", "60s"])
    workload.send("GO")
    try eventually("drip stops the target") { tracer(of: workload.pid) == drip.pid }
    drip.signal(SIGKILL)
    drip.wait()
    try eventually("the target runs") {
      try tracer(of: workload.pid) == 0 && states(of: workload.pid).contains("R")
    }
    workload.send("END")
    #expect(workload.waitForLine { $0 == "BYE" } != nil)
    #expect(workload.wait() == 0)
  }

  @Test("a target that is killed in the middle of a search ends it, not drip")
  func targetKilled() async throws {
    let workload = try ReachWorkload(count: 100, padMiB: 100)
    let pid = workload.pid
    let search = Task { try await workload.inspectAll(pid) }
    try eventually("the target is stopped") { tracer(of: pid) == getpid() }
    kill(pid, SIGKILL)
    await #expect(throws: StopRefusal.gone(pid: pid)) { try await search.value }
  }

  @Test("what another tracer holds is not stopped, and that is said")
  func traced() async throws {
    let workload = try ReachWorkload(count: 100)
    let drip = try DripBinary.attach(["dump", "-p", "\(workload.pid)", "--duration", "60s", "--follow"])
    let inspection = try await workload.inspect()
    #expect(inspection.obstacle == "process \(workload.pid) is traced by process \(drip.pid) (a debugger?)")
    #expect(!inspection.isFrozen && inspection.scans.count == 2)
    #expect(inspection.outcomes(workload.name)["lose_plain"]?.lost == 100)
    drip.signal(SIGINT)
    #expect(drip.finish().status == 0)
  }
}

/// Linux's WCONTINUED; Glibc's macro is not seen by Swift on every version.
private let WCONTINUED_: CInt = 8

extension ReachWorkload {
  /// For a task of its own.
  nonisolated func inspectAll(_ pid: Int32) async throws -> Int {
    try await inspect().objects.count
  }
}

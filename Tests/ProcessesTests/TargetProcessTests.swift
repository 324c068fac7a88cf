import Glibc
import Profile
import Testing

@testable import Processes

@Suite("target process")
struct TargetProcessTests {
  private func refusal(_ pid: Int32) -> ProcessError? {
    do throws(ProcessError) {
      _ = try TargetProcess.open(pid: pid)
      return nil
    } catch {
      return error
    }
  }

  private func copyOfSleep(_ scratch: Scratch, as name: String) throws -> String {
    try scratch.write(try ProcFile.read("/bin/sleep"), as: name)
  }

  /// posix_spawn returns, and the link to the executable is there, before its segments are mapped.
  private func isMapped(_ file: String, _ child: Child) -> Bool {
    (try? MemoryMap.read(pid: child.pid))?.contains { $0.path == file } ?? false
  }

  @Test("oneself")
  func oneself() throws {
    let target = try TargetProcess.open(pid: getpid())
    #expect(target.identity.pid == getpid())
    #expect(target.identity.startTicks > 0)
    #expect(target.identity.executable == (try ProcFile.link("/proc/self/exe")))
    #expect(!target.isExecutableDeleted)
    #expect(target.namespaces == Namespaces(isOtherMount: false, isOtherPID: false))
    #expect(!target.hasExited)
    #expect(fcntl(target.exitDescriptor, F_GETFD) & FD_CLOEXEC != 0)
  }

  @Test("a child, its exit seen at once and for ever")
  func child() throws {
    let child = try Child("/bin/sleep", ["60"])
    let target = try TargetProcess.open(pid: child.pid)
    #expect(child.waits { (try? ProcFile.text("/proc/\(child.pid)/comm")) == "sleep\n" })
    #expect(try TargetProcess.open(pid: child.pid).identity.command == "sleep")
    #expect(!target.waitForExit(milliseconds: 20))
    kill(child.pid, SIGKILL)
    #expect(target.waitForExit(milliseconds: 5000))
    #expect(target.hasExited, "a zombie has exited")
    child.collect()
    #expect(target.hasExited)
    #expect(refusal(child.pid) == .noSuchProcess(pid: child.pid))
  }

  @Test("the descriptor is closed with its owner")
  func descriptor() throws {
    let child = try Child("/bin/sleep", ["60"])
    func link(_ descriptor: Int32) -> ino_t? {
      var status = stat()
      return fstat(descriptor, &status) == 0 ? status.st_ino : nil
    }
    var target: TargetProcess? = try TargetProcess.open(pid: child.pid)
    let number = try #require(target?.exitDescriptor)
    let before = link(number)
    #expect(before != nil)
    target = nil
    // Another test may have taken the number meanwhile, for a file of its own.
    let info = (try? ProcFile.text("/proc/self/fdinfo/\(number)")) ?? ""
    #expect(!info.contains("Pid:\t\(child.pid)\n"))
  }

  @Test("no such process", arguments: [0, -1, Int32.max])
  func noSuchProcess(pid: Int32) {
    #expect(refusal(pid) == .noSuchProcess(pid: pid))
  }

  @Test("a kernel thread")
  func kernelThread() throws {
    guard let stat = try? ProcessFiles.stat(2), stat.isKernelThread else {
      print("skipping a kernel thread: pid 2 is none here (a pid namespace)")
      return
    }
    #expect(refusal(2) == .kernelThread(pid: 2, name: "kthreadd"))
  }

  @Test("a zombie")
  func zombie() throws {
    let child = try Child("/bin/true")
    #expect(child.waits { (try? ProcessFiles.stat(child.pid))?.isZombie == true })
    #expect(refusal(child.pid) == .zombie(pid: child.pid))
  }

  @Test("a thread's number names its process")
  func thread() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    var thread = pthread_t()
    let argument = UnsafeMutableRawPointer(bitPattern: Int(ends[0]) + 1)
    try #require(
      pthread_create(
        &thread, nil,
        { descriptor in
          var byte: UInt8 = 0
          _ = read(Int32(Int(bitPattern: descriptor) - 1), &byte, 1)
          return nil
        }, argument) == 0)
    defer {
      close(ends[1])
      pthread_join(thread, nil)
      close(ends[0])
    }
    var names: [Int32] = []
    let folder = try #require(opendir("/proc/self/task"))
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      if let number = Int32(name), number != getpid() { names.append(number) }
    }
    closedir(folder)
    try #require(!names.isEmpty)
    // Some of the runner's threads may have ended since; ours has not.
    let refusals = names.map { ($0, refusal($0)) }
    #expect(refusals.contains { $0.1 == .thread(pid: $0.0, leader: getpid()) }, "\(refusals)")
    #expect(
      ProcessError.thread(pid: 1235, leader: 1234).description == "1235 is a thread of 1234; use -p 1234")
  }

  @Test("a deleted executable")
  func deletedExecutable() throws {
    let scratch = try Scratch()
    let path = try copyOfSleep(scratch, as: "gone")
    let child = try Child(path, ["60"])
    unlink(path)
    #expect(child.waits { (try? ProcFile.link("/proc/\(child.pid)/exe")) == path + " (deleted)" })
    let target = try TargetProcess.open(pid: child.pid)
    #expect(target.isExecutableDeleted)
    #expect(target.identity.executable == path)
    #expect(child.waits { isMapped(path, child) })
    let module = try #require(MemoryMap.modules(try MemoryMap.read(pid: child.pid)).first { $0.path == path })
    #expect(module.isDeleted)
    guard geteuid() == 0 else { return print("skipping map_files: not root") }
    let file = try MemoryMap.openableFile(pid: child.pid, mapping: try #require(module.mappings.first))
    #expect(try ProcFile.read(file) == (try ProcFile.read("/bin/sleep")))
  }

  @Test("names made to confuse", arguments: ["a) b (", ") R 1 1 1", "\u{301}) x", "e\u{1b}[31m", "a\nb\\"])
  func names(name: String) throws {
    let scratch = try Scratch()
    let child = try Child(try copyOfSleep(scratch, as: name), ["60"])
    let file = scratch.path + "/" + name
    #expect(child.waits { (try? ProcFile.link("/proc/\(child.pid)/exe")) == file })
    let target = try TargetProcess.open(pid: child.pid)
    #expect(target.identity.command == displayable(name))
    #expect(target.identity.executable == file)
    #expect(!target.isExecutableDeleted)
    #expect(child.waits { isMapped(file, child) })
  }

  @Test("a 32-bit program")
  func thirtyTwoBit() throws {
    let scratch = try Scratch()
    let file = try scratch.write(thirtyTwoBitProgram, as: "small")
    do {
      let child = try Child(file)
      #expect(child.waits { (try? ProcFile.link("/proc/\(child.pid)/exe")) == file })
      #expect(refusal(child.pid) == .thirtyTwoBit(pid: child.pid, executable: file))
    } catch let failure as Child.Failure where failure.code == ENOEXEC {
      print("skipping a 32-bit program: this kernel cannot run it (ENOEXEC)")
    }
  }

  @Test("namespaces of its own")
  func namespaces() throws {
    guard geteuid() == 0 else { return print("skipping namespaces: not root") }
    let child = try Child("/usr/bin/unshare", ["-m", "sleep", "60"])
    #expect(child.waits { (try? ProcFile.text("/proc/\(child.pid)/comm")) == "sleep\n" })
    let target = try TargetProcess.open(pid: child.pid)
    #expect(target.isInOtherMountNamespace)
    #expect(!target.isInOtherPIDNamespace)
  }

  @Test("what a process named itself cannot drive the terminal")
  func errors() {
    let errors: [ProcessError] = [
      .kernelThread(pid: 1, name: "\u{1b}[2J"), .thirtyTwoBit(pid: 1, executable: "/\u{9b}2J\n"),
      .unreadable(pid: 1, path: "/\u{7}", code: ENOENT), .notPermitted(pid: 1, what: "\r"), .exited(pid: 1),
      .zombie(pid: 1), .noSuchProcess(pid: 1),
    ]
    for error in errors {
      #expect(error.description == displayable(error.description))
      #expect(error.description.contains("1"))
    }
    #expect(errors[2].description.contains("No such file"))
    #expect(displayable("a\u{0}b\u{7f}c\u{85}dé\u{a0}") == "a?b?c?dé\u{a0}")
  }
}

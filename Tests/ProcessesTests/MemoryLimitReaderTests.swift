import Glibc
import Profile
import Testing

@testable import Processes

@Suite("memory limits")
struct MemoryLimitReaderTests {
  @Test("this process, as the kernel tells it")
  func thisProcess() throws {
    let limits = MemoryLimitReader.read(pid: getpid())
    let machine = try #require(limits.all.first { $0.source == .machine })
    // Both are of the kernel's totalram.
    #expect(machine.bytes == UInt64(sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))))
    #expect(machine.used > 0 && machine.used < machine.bytes)
  }

  @Test("the limits of a child, and what it uses of them")
  func child() throws {
    let child = try Child("/bin/sh", ["-c", "ulimit -v 8388608; ulimit -d 4194304; exec /bin/sleep 1000"])
    #expect(child.waits(for: { (try? ProcFile.text("/proc/\(child.pid)/comm")) == "sleep\n" }))
    let limits = MemoryLimitReader.read(pid: child.pid)
    let space = try #require(limits.all.first { $0.source == .addressSpace })
    #expect(space.bytes == 1 << 33)
    #expect(space.used > 4096 && space.used < 1 << 33)
    let data = try #require(limits.all.first { $0.source == .data })
    #expect(data.bytes == 1 << 32)
    #expect(data.used > 0)
  }

  /// A folder of a version 1 hierarchy or a version 2 one that allows to limit memory; nil where this machine has none.
  private static func controlGroup() -> (folder: String, limit: String)? {
    guard geteuid() == 0, let mountinfo = try? ProcFile.text("/proc/self/mountinfo") else { return nil }
    for mount in MemoryLimitReader.mounts(mountinfo) {
      let folder = "\(mount.point)/drip-test-\(getpid())"
      guard mkdir(folder, 0o755) == 0 else { continue }
      let limit = mount.isUnified ? "memory.max" : "memory.limit_in_bytes"
      if access("\(folder)/\(limit)", W_OK) == 0 { return (folder, limit) }
      rmdir(folder)
    }
    return nil
  }

  private static func write(_ text: String, to path: String) -> Bool {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
  }

  @Test("a real cgroup's limit holds for a child in it")
  func realControlGroup() throws {
    // A machine that lets nobody make one cannot show it.
    guard let (folder, limit) = Self.controlGroup() else { return }
    defer { rmdir(folder) }
    #expect(mkdir("\(folder)/inner", 0o755) == 0)
    defer { rmdir("\(folder)/inner") }
    try #require(Self.write("\(300 << 20)", to: "\(folder)/\(limit)"))
    do {
      let child = try Child("/bin/sleep", ["1000"])
      try #require(Self.write("\(child.pid)", to: "\(folder)/inner/cgroup.procs"))
      let limits = MemoryLimitReader.read(pid: child.pid)
      let group = try #require(limits.all.first { $0.source == .cgroup && $0.bytes == 300 << 20 })
      // The inner group has none of its own: its parent's holds.
      #expect(group.used < group.bytes)
      #expect(limits.nearest?.headroom ?? .max <= group.headroom)
      kill(child.pid, SIGKILL)
      child.collect()
    }
  }

  @Test("a hierarchy of files: every group up to the mount counts, and no limit is none")
  func files() throws {
    let scratch = try Scratch()
    let root = scratch.path
    let folders = ["a", "a/b", "v1", "v1/x"]
    let files = [
      ("memory.max", "max\n"), ("a/memory.max", "2147483648\n"), ("a/memory.current", "1073741824\n"),
      ("a/b/memory.max", "max\n"), ("a/b/memory.current", "5\n"), ("v1/memory.limit_in_bytes", "4096\n"),
      ("v1/memory.usage_in_bytes", "9223372036854771712\n"),
      ("v1/x/memory.limit_in_bytes", "9223372036854771712\n"),
    ]
    defer { for folder in folders.reversed() { rmdir("\(root)/\(folder)") } }
    for folder in folders { mkdir("\(root)/\(folder)", 0o755) }
    for (name, text) in files {
      close(creat("\(root)/\(name)", 0o644))
      #expect(Self.write(text, to: "\(root)/\(name)"))
    }
    defer { for (name, _) in files { unlink("\(root)/\(name)") } }
    #expect(
      MemoryLimitReader.limits(of: "/a/b", under: root, isUnified: true) == [
        MemoryLimit(source: .cgroup, bytes: 1 << 31, used: 1 << 30)
      ])
    #expect(MemoryLimitReader.limits(of: "/", under: root, isUnified: true).isEmpty)
    let old = MemoryLimitReader.limits(of: "/v1/x", under: root, isUnified: false)
    #expect(old.map(\.bytes) == [4096])
    #expect(old.map(\.headroom) == [0])
  }

  @Test("texts of both versions")
  func texts() {
    let groups = "4:cpu,memory:/a b\n1:name=systemd:/x\n0::/init.scope\nnonsense\n7:memory\n"
    #expect(
      MemoryLimitReader.hierarchies(groups) == [
        .init(isUnified: false, path: "/a b"), .init(isUnified: true, path: "/init.scope"),
      ])
    let mounts = MemoryLimitReader.mounts(
      """
      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 master:2 - cgroup cgroup rw,memory
      36 31 0:33 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
      41 31 0:38 /a /sys/fs/my\\040groups rw - cgroup2 cgroup2 rw,nsdelegate
      42 31 0:39 / /proc rw - proc proc rw
      """)
    #expect(mounts.map(\.isUnified) == [false, true])
    #expect(mounts.map(\.root) == ["/", "/a"])
    #expect(mounts.map(\.point) == ["/sys/fs/cgroup/memory", "/sys/fs/my groups"])
    #expect(MemoryLimitReader.below("/a/b", root: "/a") == "/b")
    #expect(MemoryLimitReader.below("/a", root: "/a") == "/")
    #expect(MemoryLimitReader.below("/ab", root: "/a") == "/ab")
    #expect(MemoryLimitReader.below("/../b", root: "/") == nil)
    #expect(
      MemoryLimitReader.resources(
        "Max data size             8388608              unlimited            bytes\n"
          + "Max address space         unlimited            unlimited            bytes\n",
        addressSpace: 5, data: 7) == [MemoryLimit(source: .data, bytes: 8_388_608, used: 7)])
    #expect(
      MemoryLimitReader.machine(Array("MemTotal: 100 kB\nMemAvailable: 60 kB\n".utf8))?.used == 40 << 10)
    #expect(MemoryLimitReader.machine([]) == nil)
  }

  @Test("the nearest limit is the one with the least left")
  func nearest() {
    let limits = MemoryLimits([
      MemoryLimit(source: .machine, bytes: 1000, used: 100),
      MemoryLimit(source: .cgroup, bytes: 500, used: 10),
      MemoryLimit(source: .data, bytes: 2000, used: 3000),
    ])
    #expect(limits.nearest?.source == .data)
    #expect(limits.nearest?.headroom == 0)
    #expect(MemoryLimits().nearest == nil)
  }
}

@Suite("memory in use")
struct MemoryUseTests {
  @Test("memory that this process touches is resident and anonymous")
  func touched() throws {
    let before = try #require(MemoryUse.read(pid: getpid()))
    let size = 64 << 20
    let block = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    defer { munmap(block, size) }
    memset(try #require(block), 1, size)
    let after = try #require(MemoryUse.read(pid: getpid()))
    // The kernel's sums lag behind by some pages a thread.
    #expect(after.anonymous > before.anonymous + UInt64(size) * 3 / 4)
    #expect(after.resident >= after.anonymous)
    #expect(after.threads >= 1)
  }

  @Test("a kernel thread and what is not there have none")
  func none() {
    #expect(MemoryUse.read(pid: 0x3fff_ffff) == nil)
    #expect(MemoryUse(Array("Name:\tkthreadd\nThreads:\t1\n".utf8)) == nil)
  }
}

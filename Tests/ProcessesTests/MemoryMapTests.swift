import Glibc
import Testing

@testable import Processes

@Suite("memory map")
struct MemoryMapTests {
  @Test("a line with a file")
  func file() throws {
    let line = "7f00a000-7f00b000 r-xs 00001000 fe:1f 332717                     /usr/lib/ld.so\n"
    let mapping = try #require(MemoryMap.parse(line).first)
    #expect(mapping.start == 0x7f00_a000)
    #expect(mapping.end == 0x7f00_b000)
    #expect(mapping.permissions == [.read, .execute, .shared])
    #expect(mapping.fileOffset == 0x1000)
    #expect(mapping.deviceMajor == 0xfe)
    #expect(mapping.deviceMinor == 0x1f)
    #expect(mapping.inode == 332_717)
    #expect(mapping.path == "/usr/lib/ld.so")
    #expect(!mapping.isDeleted)
    #expect(mapping.mapFilesPath(pid: 7) == "/proc/7/map_files/7f00a000-7f00b000")
    #expect(mapping.rootPath(pid: 7) == "/proc/7/root/usr/lib/ld.so")
  }

  @Test(
    "names as the kernel writes them",
    arguments: [
      ("", "", false), ("   /a b  c ", "/a b  c ", false), ("  /a\\012b", "/a\nb", false),
      ("  /a\\134b", "/a\\134b", false), ("  /a (deleted)", "/a", true),
      ("  /a (deleted) (deleted)", "/a (deleted)", true), ("  /memfd:x (deleted)", "/memfd:x", true),
      ("  /a (deleted)b", "/a (deleted)b", false), (" (deleted)", "(deleted)", false),
    ])
  func names(written: String, path: String, isDeleted: Bool) throws {
    let mapping = try #require(MemoryMap.parse("1000-2000 rw-p 00000000 00:01 5" + written + "\n").first)
    #expect(mapping.path == path)
    #expect(mapping.isDeleted == isDeleted)
  }

  @Test("anonymous memory, with and without a name")
  func anonymous() {
    let text = """
      1000-2000 rw-p 00000000 00:00 0 
      2000-3000 rw-p 00000000 00:00 0
      3000-4000 rw-p 00000000 00:00 0                  [heap]
      4000-5000 rw-p 00000000 00:00 0                  [anon: x (deleted)]
      """
    #expect(MemoryMap.parse(text).map(\.path) == ["", "", "[heap]", "[anon: x (deleted)]"])
    #expect(MemoryMap.parse(text).allSatisfy { !$0.isDeleted && $0.inode == 0 })
    #expect(MemoryMap.modules(MemoryMap.parse(text)).isEmpty)
  }

  @Test("the highest addresses do not overflow")
  func vsyscall() throws {
    let line = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    let mapping = try #require(MemoryMap.parse(line).first)
    #expect(mapping.start == 0xffff_ffff_ff60_0000)
    #expect(mapping.permissions == [.execute])
    #expect(mapping.mapFilesPath(pid: 1) == "/proc/1/map_files/ffffffffff600000-ffffffffff601000")
  }

  @Test(
    "lines of another form are left out",
    arguments: [
      "", "\n\n", "nonsense", "1000 rw-p 0 00:00 0", "2000-1000 rw-p 0 00:00 0", "1000-2000 rw 0 00:00 0",
      "1000-2000 rw-p 0 0000 0", "1000-2000 rw-p 0 00:00", "x-y rw-p 0 00:00 0", "1000-2000 rw-p 0 00:00 x",
      "10000000000000000-20000000000000000 rw-p 0 00:00 0", "1000-2000-3000 rw-p 0 00:00 0",
    ])
  func malformed(text: String) {
    #expect(MemoryMap.parse(text).isEmpty)
  }

  @Test("random bytes never trap")
  func random() {
    var generator = SystemRandomNumberGenerator()
    let alphabet = Array("0123456789abcdef-: rwxps/\n\\()".utf8) + [0, 0x80, 0xff]
    for _ in 0..<2000 {
      let text = (0..<200).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
      _ = MemoryMap.parse(text)
      _ = ProcessStat(text)
    }
  }

  @Test("mappings of one file are one module")
  func modules() {
    let text = """
      3000-4000 r--p 00000000 08:01 9   /b
      5000-6000 r-xp 00001000 08:01 9   /b
      6000-7000 r--p 00000000 08:02 9   /c
      7000-8000 rw-p 00000000 00:00 0
      8000-9000 r--p 00000000 08:01 9   /b
      """
    let modules = MemoryMap.modules(MemoryMap.parse(text))
    #expect(modules.map(\.path) == ["/b", "/c"])
    #expect(modules.map(\.mappings.count) == [3, 1])
    #expect(modules.map(\.isExecutable) == [true, false])
    #expect(modules.map(\.loadAddress) == [0x3000, 0x6000])
    #expect(modules.map(\.inode) == [9, 9])
    #expect(modules.map(\.deviceMinor) == [1, 2])
    let tail = MappedModule(
      path: "/d", mappings: [MemoryMapping(start: 1, end: 2, permissions: [], fileOffset: 4096)])
    #expect(tail.loadAddress == nil)
  }

  @Test("our own map: our code is in it, and its file can be opened")
  func ourselves() throws {
    let mappings = try MemoryMap.read(pid: getpid())
    let executable = try ProcFile.link("/proc/self/exe")
    let module = try #require(MemoryMap.modules(mappings).first { $0.path == executable })
    #expect(module.isExecutable)
    #expect(module.loadAddress != nil)
    let mapping = try #require(module.mappings.first)
    let path = try MemoryMap.openableFile(pid: getpid(), mapping: mapping)
    var ours = stat()
    var theirs = stat()
    #expect(stat(path, &ours) == 0 && stat(executable, &theirs) == 0)
    #expect(ours.st_ino == theirs.st_ino)
  }

  @Test("without map_files, the path counts only while it is the same file")
  func rooted() throws {
    let scratch = try Scratch()
    let file = try scratch.write([1, 2, 3], as: "data")
    var status = stat()
    #expect(stat(file, &status) == 0)
    // No mapping has these addresses, so there is no map_files entry.
    var mapping = MemoryMapping(
      start: 0x1000, end: 0x2000, permissions: [.read],
      deviceMajor: DeviceNumber(UInt64(status.st_dev)).major,
      deviceMinor: DeviceNumber(UInt64(status.st_dev)).minor, inode: UInt64(status.st_ino), path: file)
    #expect(try MemoryMap.openableFile(pid: getpid(), mapping: mapping) == "/proc/\(getpid())/root" + file)
    mapping.inode += 1
    #expect(throws: ProcessError.self) { try MemoryMap.openableFile(pid: getpid(), mapping: mapping) }
    mapping.inode -= 1
    mapping.deviceMinor += 1
    #expect(throws: ProcessError.self) { try MemoryMap.openableFile(pid: getpid(), mapping: mapping) }
  }

  @Test("device numbers, in glibc's layout")
  func devices() {
    // The minor's low byte lies lowest, the major's low 12 bits above it, then the rest of each.
    let device = DeviceNumber(0x1234_5000_0670_0089 | 0xabc << 8)
    #expect(device.major == 0x1234_5abc)
    #expect(device.minor == 0x6700 | 0x89)
  }

  @Test("a process that is not there")
  func gone() {
    #expect(throws: ProcessError.noSuchProcess(pid: Int32.max)) { try MemoryMap.read(pid: Int32.max) }
  }
}

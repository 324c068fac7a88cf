import Testing

@testable import Binaries

@Suite("ELF files")
struct ELFFileTests {
  private func error(_ bytes: [UInt8]) -> BinaryError? {
    do throws(BinaryError) {
      _ = try ELFFile(MemoryBytes(bytes))
      return nil
    } catch { return error }
  }

  /// A header with nothing behind it.
  private func header(fileClass: UInt8 = 2, order: UInt8 = 1, machine: UInt16 = 62) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 64)
    bytes.replaceSubrange(0..<6, with: [0x7f, 0x45, 0x4c, 0x46, fileClass, order])
    bytes[16] = 3
    bytes[18] = UInt8(truncatingIfNeeded: machine)
    bytes[19] = UInt8(truncatingIfNeeded: machine >> 8)
    return bytes
  }

  @Test("headers that are refused, each for its reason")
  func refusals() {
    #expect(error([]) == .notELF)
    #expect(error(Array("#!/bin/sh\n".utf8) + [UInt8](repeating: 0, count: 100)) == .notELF)
    #expect(error(header(fileClass: 1)) == .thirtyTwoBit)
    #expect(error(Array(header(fileClass: 1).prefix(52))) == .thirtyTwoBit)
    #expect(error(header(order: 2)) == .wrongByteOrder)
    #expect(error(header(machine: 183)) == .wrongMachine(183))
    #expect(error(Array(header().prefix(40))) == .truncated(what: "the header"))
    #expect(error(header()) == nil)
  }

  @Test("program headers outside of the file")
  func lyingHeader() {
    var bytes = header()
    bytes[32...39] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    bytes[54] = 56
    bytes[56] = 9
    guard case .truncated = error(bytes) else {
      Issue.record("\(String(describing: error(bytes)))")
      return
    }
  }

  @Test("files that are none")
  func notFiles() {
    #expect(throws: BinaryError.notRegularFile(path: "/dev/null")) { try FileBytes(path: "/dev/null") }
    #expect(throws: BinaryError.notRegularFile(path: "/tmp")) { try FileBytes(path: "/tmp") }
    #expect(throws: BinaryError.unreadable(path: "/nonexistent", code: 2)) {
      try FileBytes(path: "/nonexistent")
    }
  }

  @Test("the C library")
  func libc() throws {
    let elf = try SystemFile.elf(SystemFile.libc)
    #expect(elf.type == .dynamic && elf.machine == 62)
    #expect(!elf.isPIE && !elf.isStaticProgram)
    #expect(elf.soname == "libc.so.6")
    #expect(elf.needed == ["ld-linux-x86-64.so.2"])
    #expect(elf.interpreter == "/lib64/ld-linux-x86-64.so.2")
    let id = try #require(elf.buildID)
    #expect(id.count == 40 && id.allSatisfy { "0123456789abcdef".contains($0) })
    #expect(try ToyProgram.run("/usr/bin/file", ["-L", SystemFile.libc]).contains(id))
  }

  @Test("addresses and file offsets are each other's inverse")
  func offsets() throws {
    let elf = try SystemFile.elf(SystemFile.libc)
    let malloc = try #require(try elf.symbols(named: ["malloc"])["malloc"])
    let offset = try #require(elf.fileOffset(ofAddress: malloc.address))
    #expect(elf.address(ofFileOffset: offset) == malloc.address)
    #expect(try elf.code(at: malloc.address, count: 16) == elf.bytes(at: offset, count: 16))
    #expect(elf.fileOffset(ofAddress: .max) == nil)
    #expect(elf.address(ofFileOffset: .max) == nil)
    #expect(throws: BinaryError.self) { try elf.code(at: 0, count: 16) }
    // Clamped to the segment.
    let segment = try #require(elf.segments.first { $0.isExecutable })
    #expect(try elf.code(at: segment.address + segment.fileSize - 3, count: 100).count == 3)
  }

  @Test("symbols without section headers are those with")
  func sectionless() throws {
    let names: Set<String> = ["malloc", "free", "strlen", "gnu_get_libc_version", "no_such_function"]
    let file = try FileBytes(path: SystemFile.libc)
    var bytes = try file.read(at: 0, count: Int(file.count))
    let whole = try ELFFile(MemoryBytes(bytes)).symbols(named: names)
    bytes[40...47] = [0, 0, 0, 0, 0, 0, 0, 0]
    bytes[60...61] = [0, 0]
    let bare = try ELFFile(MemoryBytes(bytes))
    #expect(bare.sections.isEmpty)
    #expect(try bare.symbols(named: names) == whole)
    #expect(Set(whole.keys) == names.subtracting(["no_such_function"]))
    #expect(whole["strlen"]?.isIndirect == true && whole["malloc"]?.isIndirect == false)
    #expect(
      try ToyProgram.run("/usr/bin/objdump", ["-T", SystemFile.libc]).contains(
        String(try #require(whole["malloc"]).address, radix: 16)))
  }

  @Test("a program by gcc, whole and stripped", .enabled(if: ToyProgram.isPossible))
  func programs() throws {
    let whole = try ToyProgram(ToyProgramSource.scopes).elf
    #expect(whole.isPIE && whole.hasSymbolTable && !whole.isStripped && whole.soname == nil)
    let found = try whole.symbols(named: ["main", "helper", "hidden"])
    #expect(found.mapValues(\.isLocal) == ["main": false, "helper": true, "hidden": true])
    #expect(whole.needed == ["libc.so.6"])
    let stripped = try ToyProgram(flags: ["-no-pie"], strips: true).elf
    #expect(!stripped.isPIE && stripped.type == .executable && stripped.isStripped)
    #expect(try stripped.symbols(named: ["main"]).isEmpty)
    #expect(stripped.buildID != nil)
    // The old hash table in place of the new.
    for style in ["sysv", "gnu"] {
      let library = ToyProgramSource.library
      let elf = try ToyProgram(
        library, flags: ["-shared", "-fPIC", "-Wl,--hash-style=\(style)"], strips: true
      ).elf
      #expect(try elf.symbols(named: ["malloc", "free", "internal"]).keys.sorted() == ["free", "malloc"])
    }
  }

  @Test("every prefix of a file in steps of 64 bytes", .enabled(if: ToyProgram.isPossible))
  func prefixes() throws {
    let bytes = try ToyProgram().contents
    var refused = 0
    for count in stride(from: 0, to: bytes.count, by: 64) where !survives(Array(bytes.prefix(count))) {
      refused += 1
    }
    #expect(refused > 0)
    #expect(survives(bytes))
  }

  @Test("random damage", .enabled(if: ToyProgram.isPossible))
  func damage() throws {
    let whole = try ToyProgram(ToyProgramSource.library, flags: ["-shared", "-fPIC"]).contents
    let elf = try ELFFile(MemoryBytes(whole))
    // Where decisions are made: headers, the dynamic table, hashes, symbols, notes, section headers.
    var places = Array(0..<0x400) + Array(whole.count - 64 * elf.sections.count..<whole.count)
    for name in [".dynamic", ".gnu.hash", ".dynsym", ".note.gnu.build-id", ".symtab"] {
      guard let section = elf.section(named: name) else { continue }
      places += Array(Int(section.offset)..<Int(section.offset + section.size))
    }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<3000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let place = places[Int.random(in: 0..<places.count, using: &generator)]
        bytes[place] = Bool.random(using: &generator) ? 0xff : UInt8.random(in: 0...255, using: &generator)
      }
      _ = survives(bytes)
    }
  }

  /// Asks a file for everything; false if it was refused. Not to crash is what matters.
  private func survives(_ bytes: [UInt8]) -> Bool {
    do throws(BinaryError) {
      let elf = try ELFFile(MemoryBytes(bytes))
      _ = (elf.soname, elf.needed, elf.buildID, elf.isPIE, elf.isStaticProgram, elf.executableSpan)
      _ = (elf.address(ofFileOffset: 0x1000), elf.fileOffset(ofAddress: 0x1000))
      _ = try AllocatorImage(elf)
      _ = try elf.symbols(named: ["main"])
      _ = try elf.code(at: 0x1000, count: 64)
      return true
    } catch { return false }
  }
}

enum ToyProgramSource {
  static let scopes = """
    __attribute__((noinline)) static void helper(void) { __asm__ volatile (""); }
    __attribute__((noinline, visibility("hidden"))) void hidden(void) { __asm__ volatile (""); }
    int main(void) { helper(); hidden(); return 0; }
    """
  /// An allocator in name only.
  static let library = """
    typedef unsigned long size_t;
    static char heap[64];
    static void *internal(void) { return heap; }
    void *malloc(size_t n) { return n ? internal() : 0; }
    void free(void *p) { heap[0] = (p != 0); }
    void *realloc(void *p, size_t n) { return n > 1 ? p : 0; }
    """
}

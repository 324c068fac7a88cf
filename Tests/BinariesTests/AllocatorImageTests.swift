import Profile
import Testing

@testable import Binaries

@Suite("allocator recognition")
struct AllocatorImageTests {
  private static let names = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "free"]

  @Test("glibc")
  func glibc() throws {
    let image = try #require(try AllocatorImage(try SystemFile.elf(SystemFile.libc)))
    #expect(image.kind == .glibc)
    for name in Self.names + ["memalign", "reallocarray", "valloc", "pvalloc"] {
      #expect(image.entries.filter { $0.names.contains(name) }.count == 1, "\(name)")
    }
    let aligned = try #require(image.entries.first { $0.names.contains("aligned_alloc") })
    #expect(aligned.call == .alignedAlloc && aligned.names == ["aligned_alloc", "memalign"])
    #expect(Set(image.entries.map(\.address)).count == image.entries.count)
  }

  @Test("jemalloc", .enabled(if: SystemFile.exists(SystemFile.jemalloc), "libjemalloc2 is not installed"))
  func jemalloc() throws {
    let image = try #require(try AllocatorImage(try SystemFile.elf(SystemFile.jemalloc)))
    #expect(image.kind == .jemalloc && !image.kind.isLibc)
    for name in Self.names + ["_Znwm", "_ZdlPv", "_ZdlPvm", "mallocx", "sdallocx"] {
      #expect(image.entries.contains { $0.names.contains(name) }, "\(name)")
    }
    #expect(image.entries.first { $0.names.contains("_ZdlPvm") }?.call == .free)
    // Through its linkage table, and directly.
    #expect(image.entries.first { $0.names.contains("_ZdlPv") }?.names.first == "free")
    #expect(image.entries.first { $0.names.contains("_Znam") }?.names.first == "_Znwm")
    #expect(image.entries.first { $0.names.contains("_Znwm") }?.call == .malloc)
  }

  @Test("programs and libraries that only use an allocator")
  func users() throws {
    #expect(try AllocatorImage(try SystemFile.elf(SystemFile.python)) == nil)
    #expect(try AllocatorImage(try SystemFile.elf("/lib64/ld-linux-x86-64.so.2")) == nil)
  }

  @Test("a static program, whole and stripped", .enabled(if: ToyProgram.isPossible))
  func staticProgram() throws {
    let source = """
      #include <stdlib.h>
      int main(int n, char **v) { free(realloc(malloc(n), 2 * n)); return 0; }
      """
    for flags in [["-static"], ["-static-pie"]] {
      let program = try ToyProgram(source, flags: flags)
      let elf = try program.elf
      #expect(elf.isStaticProgram && elf.needed.isEmpty, "\(flags)")
      let image = try #require(try AllocatorImage(elf))
      #expect(image.kind == .glibc)
      #expect(image.entries.contains { $0.names.contains("malloc") && $0.size > 0 })
      try ToyProgram.run("/usr/bin/strip", [program.path])
      let stripped = try program.elf
      #expect(stripped.isStaticProgram && stripped.isStripped)
      #expect(try AllocatorImage(stripped) == nil)
    }
  }

  @Test("a replacement without telltales, and half of one", .enabled(if: ToyProgram.isPossible))
  func unknown() throws {
    let flags = ["-shared", "-fPIC"]
    let image = try #require(try AllocatorImage(try ToyProgram(ToyProgramSource.library, flags: flags).elf))
    #expect(image.kind == .unknown && image.entries.map(\.names) == [["malloc"], ["realloc"], ["free"]])
    let half = "void *malloc(unsigned long n) { return 0; } void free(void *p) {}"
    #expect(try AllocatorImage(try ToyProgram(half, flags: flags).elf) == nil)
    // A library's own hidden functions are not the program's allocator.
    let hidden = ToyProgramSource.library.replacing(
      "\nvoid", with: "\n__attribute__((visibility(\"hidden\"))) void")
    #expect(try AllocatorImage(try ToyProgram(hidden, flags: flags + ["-fvisibility=hidden"]).elf) == nil)
    // Nor is what a program calls free for itself.
    let local = "static void free(void *p) { __asm__ volatile (\"\"); } int main(void) { free(0); return 0; }"
    let program = try ToyProgram("__attribute__((noinline)) " + local, flags: ["-fno-builtin"]).elf
    #expect(try AllocatorImage(program) == nil)
  }

  @Test("functions that only jump to another are that one", .enabled(if: ToyProgram.isPossible))
  func forwarders() throws {
    // Chained, to another call, to itself in a ring, and to something else.
    let bodies = [
      ("_ZdlPv", "jmp free@plt"), ("_ZdaPv", "endbr64; jmp _ZdlPv@plt"), ("_Znwm", "jmp free@plt"),
      ("je_free", "jmp dallocx@plt"), ("dallocx", "jmp sdallocx@plt"), ("sdallocx", "jmp je_free@plt"),
      ("cfree", "jmp other@plt"), ("mallocx", "push %rbx; ret"),
    ]
    let source = bodies.reduce("\nvoid *other(void *p) { return p; }\n") { text, function in
      let (name, body) = function
      return text + "__asm__(\".globl \(name); .type \(name),@function; \(name): \(body)\");\n"
    }
    let flags = ["-shared", "-fPIC", "-fcf-protection=none"]
    for more in [[], ["-Wl,-z,now"], ["-fcf-protection"], ["-Wl,-Bsymbolic"], ["-Wl,-z,ibtplt"]] {
      let elf = try ToyProgram(ToyProgramSource.library + source, flags: flags + more, strips: true).elf
      let names = try #require(try AllocatorImage(elf)).entries.map(\.names).sorted { $0[0] < $1[0] }
      #expect(
        names == [
          ["_Znwm"], ["cfree"], ["dallocx"], ["free", "_ZdlPv", "_ZdaPv"], ["je_free"], ["malloc"],
          ["mallocx"], ["realloc"], ["sdallocx"],
        ], "\(more)")
    }
  }

  @Test("a sanitizer is named", .enabled(if: ToyProgram.isPossible))
  func sanitizer() throws {
    let source = ToyProgramSource.library + "\nvoid __asan_init(void) {}"
    let image = try #require(try AllocatorImage(try ToyProgram(source, flags: ["-shared", "-fPIC"]).elf))
    #expect(image.kind == .sanitizer)
  }
}

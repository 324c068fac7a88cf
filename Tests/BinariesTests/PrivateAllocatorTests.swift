import Profile
import Testing

@testable import Binaries

@Suite("private allocators", .enabled(if: ToyProgram.isPossible))
struct PrivateAllocatorTests {
  private static let functions = ["malloc", "calloc", "realloc", "free", "mallocx", "rallocx", "sdallocx"]

  /// A jemalloc by its names, each a function of its own.
  private func source(prefix: String, attributes: String = "", of names: [String] = functions) -> String {
    names.enumerated().map { index, name in
      "\(attributes) void *\(prefix)\(name)(void *a, unsigned long b) { return (char *) a + b + \(index); }\n"
    }.joined()
  }

  private let main =
    "\n#include <stdlib.h>\nint main(int n, char **v) { free(realloc(malloc(n), n)); return 0; }"

  @Test("a jemalloc with a prefix, exported or not", arguments: ["_rjem_", "je_"])
  func prefixed(prefix: String) throws {
    for flags in [[], ["-rdynamic"], ["-fvisibility=hidden"], ["-static"]] {
      let elf = try ToyProgram(source(prefix: prefix) + main, flags: flags).elf
      let images = try AllocatorImage.images(in: elf)
      let image = try #require(images.last)
      #expect(image.kind == .jemalloc && image.isPrivate, "\(flags)")
      #expect(Set(image.entries.flatMap(\.names)) == Set(Self.functions.map { prefix + $0 }), "\(flags)")
      #expect(image.entries.first { $0.names == [prefix + "rallocx"] }?.call == .realloc)
      #expect(image.entries.first { $0.names == [prefix + "sdallocx"] }?.call == .free)
      // libc's comes first where it is in the same file, and keeps its own functions.
      #expect(images.map(\.kind) == (flags == ["-static"] ? [.glibc, .jemalloc] : [.jemalloc]), "\(flags)")
      let libc = images.first { !$0.isPrivate }
      #expect(libc?.entries.contains { $0.names.contains { $0.hasPrefix(prefix) } } != true)
    }
  }

  @Test("what only looks like one")
  func lookalikes() throws {
    // Without a telltale, without anything that frees, and without anything that allocates.
    for names in [["malloc", "calloc", "realloc", "free"], ["malloc", "mallocx"], ["free", "sdallocx"]] {
      let elf = try ToyProgram(source(prefix: "je_", of: names) + main).elf
      #expect(try AllocatorImage.images(in: elf).isEmpty, "\(names)")
    }
    let other = try ToyProgram(source(prefix: "xy_") + main).elf
    #expect(try AllocatorImage.images(in: other).isEmpty)
    // That is what a user may say.
    let named = try #require(try AllocatorImage.image(in: other, prefix: "xy_"))
    #expect(Set(named.entries.flatMap(\.names)) == Set(Self.functions.map { "xy_" + $0 }) && named.isPrivate)
    #expect(try AllocatorImage.image(in: other, prefix: "x") == nil)
    #expect(try AllocatorImage.image(in: other, prefix: "") == nil)
  }

  @Test("an unprefixed one that the linker has hidden")
  func hidden() throws {
    let hidden = source(prefix: "", attributes: "__attribute__((visibility(\"hidden\"), noinline))")
    let elf = try ToyProgram(
      hidden + "int main(int n, char **v) { return sdallocx(malloc(v, n), n) == calloc(free(v, 1), 2); }",
      flags: ["-fno-builtin", "-Wno-builtin-declaration-mismatch"]
    ).elf
    let images = try AllocatorImage.images(in: elf)
    #expect(images.map(\.isPrivate) == [true] && images.first?.kind == .jemalloc)
    #expect(try AllocatorImage(elf) == nil)
    #expect(Set(images[0].entries.flatMap(\.names)) == Set(Self.functions))
  }

  /// Each is a function in assembler; `malloc` and `free` are those of the library.
  private func library(_ functions: [(name: String, body: String)]) throws -> AllocatorImage {
    let source = functions.map { name, body in
      "__asm__(\".globl \(name); .type \(name),@function; \(name): \(body); .size \(name), .-\(name)\");\n"
    }.joined()
    let elf = try ToyProgram(ToyProgramSource.library + "\n" + source, flags: ["-shared", "-fPIC"]).elf
    return try #require(try AllocatorImage(elf))
  }

  @Test("functions that only stand before another one are no entry points")
  func fronts() throws {
    let image = try library([
      // As libstdc++'s, with a second try.
      (
        "_Znwm",
        "push %rbx; mov %rdi, %rbx; 1: mov %rbx, %rdi; call malloc@plt; test %rax, %rax; je 1b; pop %rbx; ret"
      ),
      // Through each other, and through no stub.
      ("_Znam", "test %rdi, %rdi; je 1f; call _Znwm@plt; ret; 1: jmp malloc@plt"),
      ("_ZnwmRKSt9nothrow_t", "jmp 1f; nop; 1: mov %rsi, %rsi; call inside; ret; inside: jmp malloc@plt"),
      // Null is nothing to free.
      ("_ZdlPv", "endbr64; test %rdi, %rdi; je 1f; jmp free@plt; 1: ret"),
      ("_ZdaPv", "call free@plt; ret"),
    ])
    #expect(Set(image.entries.flatMap(\.names)) == ["malloc", "realloc", "free", "_ZnwmRKSt9nothrow_t"])
  }

  @Test("functions with a way of their own are")
  func notFronts() throws {
    let image = try library([
      // A fast path; what only the other one tests; a jump to nobody knows where; a call that frees; nothing.
      ("_Znwm", "cmp $64, %rdi; jb 1f; jmp malloc@plt; 1: xor %eax, %eax; ret"),
      ("_Znam", "test %rsi, %rsi; je 1f; jmp malloc@plt; 1: ret"),
      ("_ZnwmRKSt9nothrow_t", "test %rdi, %rdi; je 1f; call malloc@plt; ret; 1: jmp *%rax"),
      ("_ZnamRKSt9nothrow_t", "call free@plt; mov %rdi, %rax; ret"),
      ("_ZdlPv", "test %rdi, %rdi; jne 1f; jmp free@plt; 1: ret"),
      ("_ZdaPv", "ret"),
      ("_ZdlPvm", "jmp elsewhere@plt"),
    ])
    #expect(
      Set(image.entries.flatMap(\.names)) == [
        "malloc", "realloc", "free", "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZdlPv",
        "_ZdaPv", "_ZdlPvm",
      ])
  }

  @Test("where functions return, and which of them throw")
  func returns() throws {
    let many = String(repeating: "test %rdi, %rdi; je 1f; ret; 1: ", count: 20)
    let source = """
      __asm__(".globl one, two, none, many; .type one,@function; .type two,@function; .type none,@function;"
        ".type many,@function; one: test %rdi, %rdi; je 1f; ret; 1: jmp two@plt; two: syscall; push %rbx; pop %rbx;"
        "ret; none: jmp *%rax; many: \(many)ret");
      """
    let elf = try ToyProgram(ToyProgramSource.library + source, flags: ["-shared", "-fPIC"]).elf
    let symbols = try elf.symbols(named: ["one", "two", "none", "many"])
    let (one, two) = (try #require(symbols["one"]).address, try #require(symbols["two"]).address)
    #expect(elf.returns(ofFunctionAt: two) == [two + 4])
    #expect(elf.returns(ofFunctionAt: one) == [one + 5, two + 4])
    #expect(elf.returns(ofFunctionAt: try #require(symbols["none"]).address) == nil)
    #expect(elf.returns(ofFunctionAt: try #require(symbols["many"]).address) == nil)
    #expect(elf.returns(ofFunctionAt: 0) == nil)

    for (library, throwing) in [
      ("libtcmalloc_minimal.so.4", Set(["_Znwm", "_ZnwmSt11align_val_t"])), ("libjemalloc.so.2", ["_Znwm"]),
      ("libmimalloc.so.2", []), ("libc.so.6", []),
    ] {
      let path = "/usr/lib/x86_64-linux-gnu/" + library
      guard SystemFile.exists(path) else { continue }
      let image = try #require(try AllocatorImage(try SystemFile.elf(path)))
      #expect(Set(image.entries.filter(\.mayThrow).compactMap(\.names.first)) == throwing, "\(library)")
    }
  }

  @Test("the interfaces of the installed allocators")
  func installed() throws {
    for (library, kind, groups) in [
      (
        "libtcmalloc_minimal.so.4", AllocatorImage.Kind.tcmalloc,
        [
          ["malloc", "tc_malloc"], ["_Znwm", "tc_new", "tc_newarray"],
          ["free", "tc_free", "tc_delete", "_ZdlPv"],
        ]
      ),
      (
        "libmimalloc.so.2", .mimalloc,
        [
          ["malloc", "mi_malloc"], ["_Znwm", "mi_new"], ["posix_memalign", "mi_posix_memalign"],
          ["mi_zalloc"],
        ]
      ),
    ] {
      let path = "/usr/lib/x86_64-linux-gnu/" + library
      guard SystemFile.exists(path) else { continue }
      let images = try AllocatorImage.images(in: try SystemFile.elf(path))
      #expect(images.map(\.kind) == [kind] && images.map(\.isPrivate) == [false])
      for group in groups {
        #expect(images[0].entries.contains { Set(group).isSubset(of: $0.names) }, "\(group)")
      }
      #expect(Set(images[0].entries.map(\.address)).count == images[0].entries.count)
    }
    let musl = "/lib/ld-musl-x86_64.so.1"
    if SystemFile.exists(musl) {
      let image = try #require(try AllocatorImage(try SystemFile.elf(musl)))
      #expect(image.kind == .musl && image.entries.contains { $0.names == ["aligned_alloc", "memalign"] })
    }
  }

  @Test("slots through which a file calls what others define")
  func importSlots() throws {
    let elf = try ToyProgram(main, flags: ["-Wl,-z,now"]).elf
    let slots = elf.importSlots(of: ["malloc", "free", "calloc"])
    #expect(Set(slots.keys) == ["malloc", "free"] && slots.values.allSatisfy { $0.count == 1 })
    #expect(elf.importSlots(of: []).isEmpty)
    let user = "char *mi_strdup(const char *); int main(int n, char **v) { return *mi_strdup(*v); }"
    let library = try ToyProgram(user, flags: ["-shared", "-fPIC"]).elf
    #expect(AllocatorImage.unfollowedFunctions(calledBy: library) == ["mi_strdup"])
    #expect(AllocatorImage.unfollowedFunctions(calledBy: elf).isEmpty)
  }
}

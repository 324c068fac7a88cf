import Foundation
import Glibc
import Profile
import Symbolication
import Testing

/// Real programs, symbolized from outside.
@Suite struct SymbolizerTests {
  /// What the return address of `leaf` in `callsInC` must show with full debug information.
  func expectChain(_ frames: [Frame], file: String, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(frames.map(\.function) == ["inner", "middle", "hidden"], sourceLocation: sourceLocation)
    #expect(frames.map { $0.file?.lastComponent } == [file, file, file], sourceLocation: sourceLocation)
    let lines = ["MARK inner", "MARK middle", "MARK hidden"].map { line(of: $0, in: callsInC) }
    #expect(frames.map(\.line) == lines, sourceLocation: sourceLocation)
    #expect(frames.map(\.inlined) == [true, true, false], sourceLocation: sourceLocation)
  }

  @Test(arguments: [["-pie", "-fPIE"], ["-no-pie"], ["-g1"], ["-gdwarf-4"], ["-Wl,-z,noseparate-code"]])
  func inlinedChain(options: [String]) throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls", options)
    let workload = try Workload([program])
    let symbolizer = try workload.symbolizer()
    let address = try workload.address("call")
    let frames = symbolizer.frames(for: address)
    expectChain(frames, file: "calls.c")
    let id = try buildID(program)
    for frame in frames {
      #expect(frame.address == address)
      #expect(frame.module == program)
      #expect(frame.buildID == id)
    }
    // The offset is the ELF address: addr2line, asked for the call, agrees.
    let offset = try #require(frames.last).offset
    let other = try run("addr2line", ["-f", "-e", program, String(offset - 1, radix: 16)])
    #expect(other.hasPrefix("inner\n"))
    #expect(symbolizer.frames(for: address) == frames)
    #expect(symbolizer.unreadable.isEmpty)
  }

  @Test func namesOfTheLibrary() throws {
    let scratch = try Scratch()
    let workload = try Workload([scratch.build(callsInC, "calls")])
    let frames = try workload.symbolizer().frames(for: workload.address("libc"))
    let physical = try #require(frames.last)
    // With libc6-dbg the inner workings of qsort have names; without it, the exported one covers them.
    let name = try #require(physical.function)
    #expect(name.contains("sort"))
    #expect(physical.module?.hasSuffix("libc.so.6") == true)
    #expect(physical.buildID?.count == 40)
  }

  @Test func memoryWithoutAFile() throws {
    let scratch = try Scratch()
    let workload = try Workload([scratch.build(callsInC, "calls")])
    let symbolizer = try workload.symbolizer()
    let heap = try workload.address("heap")
    #expect(symbolizer.frames(for: heap) == [Frame(address: heap)])
    #expect(symbolizer.frames(for: 0) == [Frame(address: 0)])
    #expect(symbolizer.frames(for: .max) == [Frame(address: .max)])
    let vdso = try #require(try workload.mappings().first { $0.path == "[vdso]" })
    let frame = try #require(symbolizer.frames(for: vdso.start + 0x100).first)
    #expect(frame.module == "[vdso]")
    #expect(frame.offset == 0x100)
  }

  @Test func cPlusPlusNames() throws {
    let source = """
      #include <cstdio>
      #include <string>
      #include <unistd.h>
      #include <vector>
      volatile int sink;
      __attribute__((noinline)) void leaf(const char *name) {
        printf("%s %p\\n", name, __builtin_return_address(0));
      }
      namespace shop {
      template <typename T> struct Box {
        __attribute__((always_inline)) inline void put(const T &) { leaf("put"); sink = sink + 1; }
        __attribute__((noinline)) void fill(const std::vector<T> &all) { put(all[0]); sink = sink + 1; }
      };
      }
      __attribute__((noinline)) static void lambdas() {
        auto f = [](int x) __attribute__((noinline)) { leaf("lambda"); sink = sink + x; };
        f(1);
        sink = sink + 1;
      }
      int main() {
        shop::Box<std::string> box;
        box.fill({"a"});
        lambdas();
        puts("ready");
        fflush(stdout);
        pause();
      }
      """
    let scratch = try Scratch()
    let workload = try Workload([scratch.build(source, "names", language: "cc")])
    let symbolizer = try workload.symbolizer()
    let put = symbolizer.frames(for: try workload.address("put")).map { $0.function ?? "?" }
    try #require(put.count == 2)
    #expect(put[0].hasPrefix("shop::Box<std::__cxx11::basic_string<"))
    #expect(put[0].contains(">::put("))
    #expect(put[1].contains(">::fill(std::vector<"))
    let lambda = symbolizer.frames(for: try workload.address("lambda")).map { $0.function ?? "?" }
    #expect(lambda.first?.contains("lambdas()::{lambda(int)#1}::operator()(int)") == true)
  }

  @Test(arguments: [false, true])
  func deletedProgram(replaced: Bool) throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let workload = try Workload([program])
    try FileManager.default.removeItem(atPath: program)
    // An update puts another program in its place, which must not be mistaken for it.
    if replaced { _ = try scratch.build("int main(void) { return 0; }", "calls") }
    #expect(try workload.mappings().contains { $0.path == program + " (deleted)" })
    let frames = try workload.symbolizer().frames(for: workload.address("call"))
    expectChain(frames, file: "calls.c")
    #expect(frames.first?.module == program)
  }

  @Test func afterTheEnd() throws {
    let scratch = try Scratch()
    let program = try scratch.build(callsInC, "calls")
    let workload = try Workload([program])
    let symbolizer = try workload.symbolizer()
    symbolizer.preload()
    workload.kill()
    try FileManager.default.removeItem(atPath: program)
    symbolizer.update(mappings: [])
    expectChain(symbolizer.frames(for: try workload.address("call")), file: "calls.c")
    let libc = symbolizer.frames(for: try workload.address("libc")).last
    #expect(libc?.function?.contains("sort") == true)

    let late = Symbolizer(pid: workload.pid)
    late.update(mappings: [
      SymbolMapping(start: 0x1000, end: 0x2000, fileOffset: 0x3000, executable: true, path: "/gone")
    ])
    let frame = try #require(late.frames(for: 0x1100).first)
    #expect(frame.module == "/gone")
    #expect(frame.function == nil)
    #expect(frame.offset == 0x3100)
    #expect(late.unreadable.map(\.path) == ["/gone"])
  }

  @Test func otherMountNamespace() throws {
    let scratch = try Scratch()
    _ = try scratch.build(callsInC, "calls")
    // Its debug file, too, exists only in there.
    let script = """
      mount -t tmpfs none /mnt && cp \(scratch.path)/calls /mnt/inside && cd /mnt &&
      objcopy --only-keep-debug inside inside.debug && objcopy --strip-all inside &&
      objcopy --add-gnu-debuglink=inside.debug inside && exec /mnt/inside
      """
    let workload = try Workload(["unshare", "-m", "sh", "-c", script])
    #expect(!FileManager.default.fileExists(atPath: "/mnt/inside"))
    let symbolizer = try workload.symbolizer()
    symbolizer.preload()
    // The root that was opened before still leads to it.
    let frames = symbolizer.frames(for: try workload.address("call"))
    expectChain(frames, file: "calls.c")
    #expect(frames.first?.module == "/mnt/inside")
  }

  @Test func mappingsChange() throws {
    let scratch = try Scratch()
    let workload = try Workload([scratch.build(callsInC, "calls")])
    let mappings = try workload.mappings()
    let symbolizer = try workload.symbolizer()
    let address = try workload.address("call")
    expectChain(symbolizer.frames(for: address), file: "calls.c")
    // What lay there is gone and something else has come.
    let place = try #require(mappings.first { $0.start <= address && address < $0.end })
    symbolizer.update(mappings: [
      SymbolMapping(start: place.start, end: place.end, fileOffset: 0, executable: true, path: "")
    ])
    #expect(symbolizer.frames(for: address) == [Frame(address: address)])
  }
}

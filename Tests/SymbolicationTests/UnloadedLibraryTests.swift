import Foundation
import Profile
import Testing

@testable import Symbolication

/// A program that loads, calls and unloads libraries as it is told, one after the other.
@Suite struct UnloadedLibraryTests {
  private static let host = """
    #include <dlfcn.h>
    #include <stdio.h>
    int main(void) {
      char line[512];
      void *library = 0;
      puts("ready");
      fflush(stdout);
      while (fgets(line, sizeof line, stdin)) {
        line[__builtin_strcspn(line, "\\n")] = 0;
        if (library) dlclose(library);
        library = *line ? dlopen(line, RTLD_NOW) : 0;
        void *(*call)(void) = library ? (void *(*)(void))dlsym(library, "call") : 0;
        printf("call %p\\n", call ? call() : 0);
        fflush(stdout);
      }
    }
    """

  private static func library(_ name: String) -> String {
    """
    __attribute__((noinline)) static void *leaf(void) { return __builtin_return_address(0); }
    __attribute__((noinline)) void *\(name)(void) { void *a = leaf(); __asm__ volatile("" ::: "memory"); return a; }
    void *call(void) { void *a = \(name)(); __asm__ volatile("" ::: "memory"); return a; }
    """
  }

  private func build(_ scratch: Scratch, _ name: String, as file: String) throws -> String {
    let source = try scratch.write(name + ".c", Self.library(name))
    let made = scratch.path + "/" + name + ".made"
    try run("gcc", ["-g", "-O1", "-shared", "-fPIC", "-o", made, source])
    // A rename, as an update does it: a new file under an old path.
    let path = scratch.path + "/" + file
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: made, toPath: path)
    return path
  }

  /// One library after the other at the same address: each address is named by what lay there when it was seen.
  @Test(arguments: [false, true])
  func namesOfWhatLayThere(samePath: Bool) throws {
    let scratch = try Scratch()
    let program = try Conversation([scratch.build(Self.host, "host")])
    let symbolizer = Symbolizer(pid: program.pid)
    func learn() throws -> Int {
      symbolizer.update(mappings: try mappingsOf(program.pid))
      symbolizer.preload()
      return symbolizer.epoch
    }
    let first = try build(scratch, "first_one", as: "a.so")
    let firstAddress = try program.ask(first)
    let firstEpoch = try learn()
    let second = try build(scratch, "second_one", as: samePath ? "a.so" : "b.so")
    let secondAddress = try program.ask(second)
    // Linux maps the same size at the same place; if it did not, this would test nothing.
    try #require(firstAddress == secondAddress)
    let secondEpoch = try learn()
    #expect(
      symbolizer.frames(for: firstAddress, in: firstEpoch).last?.function == "first_one",
      "while the second one lies there")
    _ = try program.ask("")
    let lastEpoch = try learn()
    #expect(firstEpoch < secondEpoch && secondEpoch < lastEpoch)

    func name(_ epoch: Int) -> String? { symbolizer.frames(for: firstAddress, in: epoch).last?.function }
    #expect(name(firstEpoch) == "first_one")
    #expect(name(secondEpoch) == "second_one")
    #expect(name(lastEpoch) == "second_one", "seen after it was unloaded: the last that lay there")
    #expect(name(0) == "first_one", "seen before anything was known: the first that came")
    let frame = try #require(symbolizer.frames(for: firstAddress, in: firstEpoch).last)
    #expect(frame.module == first)
    #expect(frame.line == 2)
    #expect(symbolizer.frames(for: firstAddress).last?.function == "second_one")
  }

  @Test func aFileIsReadOnceForAllProcesses() throws {
    let scratch = try Scratch()
    let path = try scratch.build(callsInC, "calls")
    let one = try Workload([path])
    let two = try Workload([path])
    let store = SymbolStore()
    var symbolizers: [Symbolizer] = []
    for program in [one, two] {
      let symbolizer = Symbolizer(pid: program.pid, store: store)
      symbolizers.append(symbolizer)
      symbolizer.update(mappings: try program.mappings())
      let frames = symbolizer.frames(for: try program.address("call"))
      #expect(frames.map(\.function) == ["inner", "middle", "hidden"])
      #expect(store.openings == 1)
    }
    #expect(symbolizers.count == 2, "both still hold it")
  }
}

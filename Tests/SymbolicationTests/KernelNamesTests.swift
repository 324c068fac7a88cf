import Profile
import Synchronization
import Testing

@testable import Symbolication

@Suite("names of kernel stacks")
struct KernelNamesTests {
  private static let base = """
    ffffffff81000000 T kfree
    ffffffff81000100 T __kmalloc
    ffffffff81000200 t newque
    ffffffff81000300 T ksys_msgget
    ffffffffc0000000 t bpf_prog_6deef7357e7b4530_told\t[bpf]
    """
  private static let withModule =
    base + "\nffffffffc0100000 t leak\t[dripleak]\nffffffffc0100100 t other\t[dripleak]\n"

  private final class Text: Sendable {
    let modules = Mutex("")
    let symbols: Mutex<String>
    init(_ symbols: String) { self.symbols = Mutex(symbols) }
  }

  private func names(_ text: Text) throws -> KernelNames {
    try KernelNames(
      modules: { text.modules.withLock { $0 } },
      symbols: { () throws(KernelSymbols.Failure) in
        try KernelSymbols(Array(text.symbols.withLock { $0 }.utf8))
      })
  }

  @Test("BPF's frames are dropped, the rest is named; an address behind a call belongs to the caller")
  func frames() throws {
    let names = try names(Text(Self.base))
    let frames = names.frames([
      0xffff_ffff_c000_0010, 0xffff_ffff_8100_0140, 0xffff_ffff_8100_0300, 0xffff_ffff_8100_0310,
    ])
    #expect(frames.map(\.function) == ["__kmalloc", "newque", "ksys_msgget"])
    #expect(frames.map(\.offset) == [0x40, 0x100, 0x10])
    #expect(frames.allSatisfy { $0.module == "kernel" })
  }

  @Test("a probe at the first instruction names its own function")
  func entry() throws {
    #expect(try names(Text(Self.base)).frames([0xffff_ffff_8100_0100]).map(\.function) == ["__kmalloc"])
  }

  @Test("symbols are read again when modules come, and only then")
  func modules() throws {
    let text = Text(Self.base)
    var names = try names(text)
    text.symbols.withLock { $0 = Self.withModule }
    names.refresh()
    #expect(names.frames([0xffff_ffff_8100_0140, 0xffff_ffff_c010_0010]).last?.function != "leak")
    text.modules.withLock { $0 = "dripleak" }
    names.refresh()
    let frame = try #require(names.frames([0xffff_ffff_8100_0140, 0xffff_ffff_c010_0010]).last)
    #expect(frame.function == "leak")
    #expect(frame.module == "dripleak")
  }

  @Test("the code of functions, each to the next symbol")
  func ranges() throws {
    let names = try names(Text(Self.base))
    #expect(names.ranges(of: ["newque", "nothing"]) == [0xffff_ffff_8100_0200..<0xffff_ffff_8100_0300])
  }
}

import Profile
import Testing

@testable import Symbolication

@Suite("names of kernel stacks")
struct KernelNamesTests {
  /// What the kernel says of its modules and symbols, which a test changes under way.
  private final class Kernel: @unchecked Sendable {
    var modules = "xfs 32768 0xffffffffc0000000"
    var symbols = """
      ffffffff81000100 T vfs_write
      ffffffff81000200 T last
      ffffffffc0000000 t xfs_alloc\t[xfs]
      ffffffffc0000100 t xfs_exit\t[xfs]
      """
    var reads = 0

    func names() throws -> KernelNames {
      try KernelNames(
        modules: { self.modules },
        symbols: { () throws(KernelSymbols.Failure) in
          self.reads += 1
          return try KernelSymbols(Array(self.symbols.utf8))
        })
    }
  }

  private static func words(_ frames: [Frame]) -> [String] {
    frames.map { "\($0.module ?? "-")!\($0.function ?? "?")+\($0.offset)" }
  }

  private static let stack: [UInt64] = [0xffff_ffff_c000_0104, 0xffff_ffff_8100_0108]

  @Test("the last function of a module ends with the module")
  func bounds() throws {
    let names = try Kernel().names()
    #expect(Self.words(names.frames(Self.stack)) == ["xfs!xfs_exit+4", "kernel!vfs_write+8"])
    // 40 KiB behind the begin of a module of 32.
    #expect(
      Self.words(names.frames([0xffff_ffff_8100_0108, 0xffff_ffff_c000_a000])).last?.hasPrefix("kernel!?")
        == true)
    // What stands before the first frame with a name is BPF's.
    #expect(
      Self.words(names.frames([0xffff_ffff_c000_a000, 0xffff_ffff_8100_0108])) == ["kernel!vfs_write+8"])
  }

  @Test("the code of probes has its names once they are there")
  func probes() throws {
    let kernel = Kernel()
    var names = try kernel.names()
    kernel.symbols += "\nffffffffc0005000 t bpf_trampoline_1\t[bpf]"
    let stack = [0xffff_ffff_c000_5010] + Self.stack
    names.refresh()
    #expect(Self.words(names.frames(stack)) == ["xfs!xfs_exit+4", "kernel!vfs_write+8"])
    names.refresh()
    #expect(kernel.reads == 2, "nothing has changed since")
  }

  @Test("a module that has gone keeps its names, whatever lies behind it now")
  func departed() throws {
    let kernel = Kernel()
    var names = try kernel.names()
    names.refresh()
    kernel.modules = "ext4 65536 0xffffffffc0020000"
    kernel.symbols = """
      ffffffff81000100 T vfs_write
      ffffffffbfffe000 t ftrace_trampoline\t[__builtin__ftrace]
      ffffffffc0020000 t ext4_alloc\t[ext4]
      """
    names.refresh()
    #expect(Self.words(names.frames(Self.stack)) == ["xfs!xfs_exit+4", "kernel!vfs_write+8"])
    #expect(Self.words(names.frames([0xffff_ffff_c002_0004])) == ["ext4!ext4_alloc+4"])
    // Another one at its place.
    kernel.modules = "btrfs 65536 0xffffffffc0000000"
    kernel.symbols = "ffffffff81000100 T vfs_write\nffffffffc0000000 t btrfs_alloc\t[btrfs]"
    names.refresh()
    #expect(Self.words(names.frames(Self.stack)).first == "btrfs!btrfs_alloc+260")
    // And that one gone, too: the last one that was there.
    kernel.modules = ""
    kernel.symbols = "ffffffff81000100 T vfs_write"
    names.refresh()
    #expect(Self.words(names.frames(Self.stack)).first == "btrfs!btrfs_alloc+260")
    #expect(Self.words(names.frames([0xffff_ffff_c002_0004, 0xffff_ffff_8100_0108])).count == 2)
  }

  @Test("BPF's frames are dropped, the rest is named; an address behind a call belongs to the caller")
  func frames() throws {
    let kernel = Kernel()
    kernel.symbols = """
      ffffffff81000000 T kfree
      ffffffff81000100 T __kmalloc
      ffffffff81000200 t newque
      ffffffff81000300 T ksys_msgget
      ffffffffc0008000 t bpf_prog_6deef7357e7b4530_told\t[bpf]
      """
    let names = try kernel.names()
    let frames = names.frames([
      0xffff_ffff_c000_8010, 0xffff_ffff_8100_0140, 0xffff_ffff_8100_0300, 0xffff_ffff_8100_0310,
    ])
    #expect(Self.words(frames) == ["kernel!__kmalloc+64", "kernel!newque+256", "kernel!ksys_msgget+16"])
    // A probe at the first instruction names its own function.
    #expect(Self.words(names.frames([0xffff_ffff_8100_0100])) == ["kernel!__kmalloc+0"])
    #expect(
      names.ranges(of: ["newque", "nothing"]) == [0xffff_ffff_8100_0200..<0xffff_ffff_8100_0300])
  }

  @Test("a module that comes is named from then on")
  func arrived() throws {
    let kernel = Kernel()
    var names = try kernel.names()
    names.refresh()
    kernel.symbols += "\nffffffffc0100000 t leak\t[dripleak]"
    let stack: [UInt64] = [0xffff_ffff_8100_0140, 0xffff_ffff_c010_0010]
    names.refresh()
    #expect(names.frames(stack).last?.function == nil, "not looked for: its modules are as they were")
    kernel.modules += "\ndripleak 16384 0xffffffffc0100000"
    names.refresh()
    #expect(Self.words(names.frames(stack)).last == "dripleak!leak+16")
  }
}

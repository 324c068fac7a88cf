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
}

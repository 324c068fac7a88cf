import Foundation
import Symbolication
import Testing

@Suite struct KernelSymbolsTests {
  private func symbols(_ text: String) throws -> KernelSymbols { try KernelSymbols(Array(text.utf8)) }

  @Test func functionsAndModules() throws {
    let symbols = try symbols(
      """
      ffffffff81000200 T second
      ffffffff81000100 t first
      ffffffff81000150 d data
      ffffffff81000200 t same_place
      ffffffffc0000000 t xfs_alloc\t[xfs]
      ffffffffc0001000 t bpf_prog_1234_probe\t[bpf]
      not a line
      ffffffff8100 T
      ffffffff81000300 T last
      """)
    #expect(symbols.count == 6)
    func name(_ address: UInt64) -> KernelSymbols.Name? { symbols.name(at: address) }
    #expect(name(0xffff_ffff_8100_0160) == .init(function: "first", module: nil, offset: 0x60))
    #expect(name(0xffff_ffff_8100_0200) == .init(function: "second", module: nil, offset: 0))
    #expect(name(0xffff_ffff_c000_0ffe) == .init(function: "xfs_alloc", module: "xfs", offset: 0xffe))
    #expect(name(0xffff_ffff_c000_1001)?.module == "bpf")
    #expect(name(0xffff_ffff_8100_00ff) == nil)
    #expect(name(0xffff_ffff_9000_0000) == nil, "far behind the last function")
  }

  @Test func hiddenAddresses() {
    #expect(throws: KernelSymbols.Failure.hidden) {
      try symbols("0000000000000000 T a\n0000000000000000 t b\n")
    }
    #expect(throws: KernelSymbols.Failure.unreadable(code: ENOENT)) {
      try KernelSymbols.read(path: "/nowhere")
    }
  }

  @Test func brokenText() throws {
    #expect(try symbols("").count == 0)
    #expect(try symbols("ffffffff81000100 T ").count == 0)
    #expect(
      try symbols("ffffffff81000100 T a\u{1b}b [x\u{7}]").name(at: 0xffff_ffff_8100_0100)?.function == "a?b")
    #expect(try symbols("1ffffffff81000100 T a").count == 0, "17 digits")
    for length in 0..<40 {
      _ = try symbols(String("ffffffffc0000000 t xfs_alloc\t[xfs]\nff".prefix(length)))
    }
  }

  /// Every function of the running kernel is found at its own address, as a plain search of the text finds it. BPF
  /// programs are left out: anybody may load and unload one between the two looks.
  @Test(.enabled(if: geteuid() == 0, "only root sees the addresses"))
  func runningKernel() throws {
    let symbols = try KernelSymbols.read()
    let text = try run("cat", ["/proc/kallsyms"])
    var names: [UInt64: [String]] = [:]
    for line in text.split(separator: "\n") {
      let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard let address = UInt64(fields[0], radix: 16), "tTwW".contains(fields[1]), fields.last != "[bpf]"
      else {
        continue
      }
      names[address, default: []].append(String(fields[2]) + (fields.count > 3 ? String(fields[3]) : ""))
    }
    #expect(names.count > 10_000)
    for (address, expected) in names {
      let found = try #require(symbols.name(at: address))
      #expect(found.offset == 0)
      #expect(expected.contains(found.function + (found.module.map { "[\($0)]" } ?? "")))
    }
  }
}

import Testing

@testable import Binaries

@Suite("entry sites")
struct EntrySiteTests {
  private let address: UInt64 = 0x1000

  private func choose(_ code: [UInt8], arguments: Int = 1) -> EntrySite {
    EntrySite.choose(code: code, address: address, argumentCount: arguments)
  }

  private func why(_ site: EntrySite) -> String? {
    switch site {
    case .emulated: nil
    case .singleStepped(_, _, let why), .unprobeable(let why): why
    }
  }

  @Test("a push at the entry")
  func pushFirst() {
    #expect(choose([0x41, 0x54, 0xc3]) == .emulated(offset: 0, instruction: "push r12"))
    #expect(choose([0x55, 0xc3]) == .emulated(offset: 0, instruction: "push rbp"))
  }

  @Test("endbr64, then push")
  func endbr() {
    #expect(choose([0xf3, 0x0f, 0x1e, 0xfa, 0x53, 0xc3]) == .emulated(offset: 4, instruction: "push rbx"))
  }

  @Test("test and je, as in free")
  func testJe() {
    #expect(
      choose([0x48, 0x85, 0xff, 0x74, 0x01, 0xc3, 0xc3]) == .emulated(offset: 3, instruction: "je 0x1006"))
  }

  @Test(
    "each kind of emulated instruction",
    arguments: [
      [0x90], [0x50], [0x57], [0x41, 0x57], [0xeb, 0x10], [0xe9, 0, 1, 0, 0], [0x70, 0x10], [0x7f, 0x10],
      [0x0f, 0x80, 0, 1, 0, 0], [0x0f, 0x8f, 0, 1, 0, 0], [0xe8, 0, 1, 0, 0],
    ] as [[UInt8]])
  func emulated(code: [UInt8]) {
    guard case .emulated(offset: 0, _) = choose(code) else {
      Issue.record("\(code): \(choose(code))")
      return
    }
  }

  @Test(
    "what only looks like one",
    arguments: [
      [0xe3, 0x10],  // jrcxz
      [0xe2, 0x10],  // loop
      [0x6a, 0x10],  // push imm
      [0x66, 0x50],  // push ax
      [0xff, 0xe0],  // jmp rax
      [0xff, 0xd0],  // call rax
      [0xc3],  // ret
      [0x5f],  // pop rdi
      [0x0f, 0x05],  // syscall
    ] as [[UInt8]])
  func notEmulated(code: [UInt8]) {
    guard case .singleStepped(offset: 0, _, _) = choose(code + [0x53]) else {
      Issue.record("\(code): \(choose(code))")
      return
    }
  }

  @Test("an argument clobbered on the way")
  func clobbered() throws {
    // mov rax, rdi; mov rdi, rsi; je
    let code: [UInt8] = [0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x74, 0x00, 0xc3]
    let site = choose(code)
    guard case .singleStepped(offset: 0, "mov rax, rdi", let why) = site else {
      Issue.record("\(site)")
      return
    }
    #expect(why.contains("mov rdi, rsi") && why.contains("+0x3") && why.contains("argument"))
  }

  @Test(
    "parts of an argument, and hidden writes",
    arguments: [
      ([0x31, 0xff], 1, true),  // xor edi, edi
      ([0x40, 0xb7, 0x01], 1, true),  // mov dil, 1
      ([0x31, 0xf6], 1, false),  // xor esi, esi: not an argument of malloc
      ([0x31, 0xf6], 2, true),
      ([0x48, 0xf7, 0xe2], 2, false),  // mul rdx
      ([0x48, 0xf7, 0xe2], 3, true),  // ... which writes rdx
      ([0x48, 0x99], 3, true),  // cqo: likewise
      ([0x0f, 0xa2], 3, true),  // cpuid
      ([0x48, 0x87, 0xf8], 1, true),  // xchg rax, rdi
      ([0x48, 0x39, 0xf8], 1, false),  // cmp rax, rdi
      ([0x48, 0x85, 0xff], 1, false),  // test rdi, rdi
      ([0xf3, 0x48, 0xab], 1, true),  // rep stosq: moves rdi
      ([0x89, 0x37], 2, false),  // mov [rdi], esi: writes memory
    ] as [([UInt8], Int, Bool)])
  func writes(code: [UInt8], arguments: Int, isClobbered: Bool) {
    let site = choose(code + [0x53, 0xc3], arguments: arguments)
    if isClobbered {
      #expect(why(site)?.contains("argument") == true, "\(site)")
    } else {
      #expect(site == .emulated(offset: UInt64(code.count), instruction: "push rbx"))
    }
  }

  @Test("a stack that moved")
  func stackMoved() {
    // sub rsp, 8; call
    #expect(why(choose([0x48, 0x83, 0xec, 0x08, 0xe8, 0, 0, 0, 0]))?.contains("stack") == true)
    // mov rbp, rsp; push rbx
    #expect(why(choose([0x48, 0x89, 0xe5, 0x53]))?.contains("stack") == true)
  }

  @Test("a jump back to the site or before it")
  func jumpBack() {
    // 0: test rdi,rdi  3: je +0xb  5: inc rax  8: jmp  a: ret
    func loop(to target: Int8) -> [UInt8] {
      [0x48, 0x85, 0xff, 0x74, 0x05, 0x48, 0xff, 0xc0, 0xeb, UInt8(bitPattern: target - 10), 0xc3]
    }
    #expect(why(choose(loop(to: 3)))?.contains("more than once") == true)
    // Behind the site a loop is no matter, and to the entry itself it is a call: every site there sees the same.
    #expect(choose(loop(to: 5)) == .emulated(offset: 3, instruction: "je 0x100a"))
    #expect(choose(loop(to: 0)) == .emulated(offset: 3, instruction: "je 0x100a"))
    // Between the entry and the site.
    let between: [UInt8] = [0xff, 0xc0, 0xff, 0xc0, 0x74, 0xfc, 0xc3]
    #expect(why(choose(between))?.contains("+0x2") == true)
  }

  @Test("a jump back from far behind, by a 32-bit displacement")
  func farJumpBack() {
    var code: [UInt8] = [0x48, 0x85, 0xff, 0x74, 0x05] + [UInt8](repeating: 0x90, count: 300)
    code += [0xe9] + withUnsafeBytes(of: Int32(3 - code.count - 5).littleEndian) { Array($0) }
    #expect(why(choose(code))?.contains("more than once") == true)
  }

  @Test("a 5-byte nop is never taken")
  func longNop() {
    let nop: [UInt8] = [0x0f, 0x1f, 0x44, 0x00, 0x00]
    #expect(choose(nop + [0x53]) == .emulated(offset: 5, instruction: "push rbx"))
    // Not as the slow site either.
    let site = choose(nop + [0x31, 0xff, 0x53])
    guard case .singleStepped(offset: 5, "xor edi, edi", _) = site else {
      Issue.record("\(site)")
      return
    }
    #expect(why(choose(nop)) == "there are only nops at the symbol")
  }

  /// Intel's recommended ones (SDM volume 2, NOP), and longer ones by more prefixes. Linux 6.18 emulates them all,
  /// and makes a call of that of 5 bytes, which overwrites the red zone.
  @Test(
    "no nop of several bytes is taken, of whatever length",
    arguments: [
      [0x66, 0x90], [0x0f, 0x1f, 0x00], [0x0f, 0x1f, 0x40, 0x00], [0x0f, 0x1f, 0x44, 0x00, 0x00],
      [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00], [0x0f, 0x1f, 0x80, 0, 0, 0, 0],
      [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
      [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], [0x66, 0x0f, 0x1f, 0x44, 0, 0], [0x0f, 0x1f, 0x45, 0x00],
    ] as [[UInt8]])
  func longNops(nop: [UInt8]) {
    #expect(choose(nop + [0x53]) == .emulated(offset: UInt64(nop.count), instruction: "push rbx"))
    guard case .singleStepped(UInt64(nop.count), "ret", _) = choose(nop + [0xc3]) else {
      Issue.record("\(choose(nop + [0xc3]))")
      return
    }
    // That of one byte is, and behind others too.
    #expect(choose([0x90] + nop) == .emulated(offset: 0, instruction: "nop"))
    #expect(choose(nop + [0x90]) == .emulated(offset: UInt64(nop.count), instruction: "nop"))
  }

  @Test("what the kernel takes no probe on")
  func refused() {
    // cs nopw, 10 bytes, alone; and lock inc before an overwritten argument.
    #expect(
      why(choose([0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0])) == "there are only nops at the symbol")
    guard case .unprobeable = choose([0xf0, 0x48, 0xff, 0x00, 0x31, 0xff, 0x53]) else {
      Issue.record("lock")
      return
    }
    guard case .unprobeable = choose([0xf4]) else {
      Issue.record("hlt")
      return
    }
  }

  @Test("no code, no sense, or too far")
  func nothing() {
    #expect(choose([]) == .unprobeable(why: "there is no code at the symbol"))
    #expect(choose([0x06, 0x06]) == .unprobeable(why: "there is no code at the symbol"))
    let far = [UInt8]((0..<9).flatMap { _ in [0x48, 0x8d, 0x04, 0x25, 0, 0, 0, 0] as [UInt8] }) + [0x53]
    #expect(why(choose(far))?.contains("first 64 bytes") == true)
    let many = [UInt8]((0..<16).flatMap { _ in [0xff, 0xc0] as [UInt8] }) + [0x53]
    #expect(why(choose(many))?.contains("first 64 bytes") == true)
  }

  @Test("random bytes and wrapping addresses do not crash")
  func random() {
    var state: UInt64 = 1
    for _ in 0..<2000 {
      let code = (0..<48).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
      }
      _ = EntrySite.choose(code: code, address: .max - 20, argumentCount: 3)
    }
  }
}

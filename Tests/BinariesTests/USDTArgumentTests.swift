import Testing

@testable import Binaries

@Suite("USDT arguments")
struct USDTArgumentTests {
  @Test(
    "operands of x86-64",
    arguments: [
      ("8@%rdi", 8, false, .register(7)), ("-4@%eax", 4, true, .register(0)),
      ("2@%r9w", 2, false, .register(9)),
      ("1@%sil", 1, false, .register(6)), ("1@%r15b", 1, false, .register(15)),
      ("-8@%r12", 8, true, .register(12)),
      ("4@%ecx", 4, false, .register(1)), ("8@%rdx", 8, false, .register(2)),
      ("1@%bl", 1, false, .register(3)),
      ("8@%rsp", 8, false, .register(4)), ("8@%rbp", 8, false, .register(5)),
      ("-1@%r8l", 1, true, .register(8)),
      ("8@$5", 8, false, .constant(5)), ("-4@$-1", 4, true, .constant(-1)),
      ("8@$0x10", 8, false, .constant(16)),
      ("8@$18446744073709551615", 8, false, .constant(-1)),
      ("8@$-9223372036854775808", 8, false, .constant(.min)),
      ("8@-16(%rbp)", 8, false, .memory(base: 5, displacement: -16)),
      ("8@8(%rsp)", 8, false, .memory(base: 4, displacement: 8)),
      ("-4@(%r13)", 4, true, .memory(base: 13, displacement: 0)),
      ("4@0x20(%rax)", 4, false, .memory(base: 0, displacement: 32)),
    ] as [(String, Int, Bool, USDTArgument.Location)])
  func x86(text: String, size: Int, isSigned: Bool, location: USDTArgument.Location) throws {
    let expected = USDTArgument(size: size, isSigned: isSigned, location: location)
    #expect(try USDTArgument.parse(text) == [expected])
  }

  @Test(
    "operands of arm64",
    arguments: [
      ("8@x0", 8, false, .register(0)), ("-4@w30", 4, true, .register(30)), ("8@sp", 8, false, .register(31)),
      ("8@[sp, 16]", 8, false, .memory(base: 31, displacement: 16)),
      ("8@[sp,#16]", 8, false, .memory(base: 31, displacement: 16)),
      ("8@[x29]", 8, false, .memory(base: 29, displacement: 0)),
      ("-2@[x29, -16]", 2, true, .memory(base: 29, displacement: -16)), ("8@5", 8, false, .constant(5)),
      ("-8@-5", 8, true, .constant(-5)),
    ] as [(String, Int, Bool, USDTArgument.Location)])
  func arm64(text: String, size: Int, isSigned: Bool, location: USDTArgument.Location) throws {
    let expected = USDTArgument(size: size, isSigned: isSigned, location: location)
    #expect(try USDTArgument.parse(text, machine: .arm64) == [expected])
  }

  @Test("several, in their order")
  func several() throws {
    let x86 = try USDTArgument.parse("8@%rdi  -4@8(%rsp) 8@$7 ")
    #expect(x86.map(\.location) == [.register(7), .memory(base: 4, displacement: 8), .constant(7)])
    let arm = try USDTArgument.parse("8@[sp, 16] 8@x1", machine: .arm64)
    #expect(arm.map(\.location) == [.memory(base: 31, displacement: 16), .register(1)])
    #expect(try USDTArgument.parse("") == [])
    #expect(try USDTArgument.parse(String(repeating: "8@%rdi ", count: 12)).count == 12)
    #expect(throws: USDTArgument.Unsupported.self) {
      try USDTArgument.parse(String(repeating: "8@%rdi ", count: 13))
    }
  }

  @Test(
    "what is refused",
    arguments: [
      "8@sym(%rip)", "8@52+sym(%rip)", "8@8(%rip)", "8@(%rax,%rbx,8)", "8@-8(,%rbx,8)", "8@sym", "8@$sym",
      "8@%ah",
      "8f@%xmm0", "8@%xmm0", "8@%fs:16", "16@%rax", "0@%rax", "3@%rax", "%rax", "@%rax", "8@", "8@%", "8@$",
      "8@()",
      "8@(", "8@)", "8@(%eax)", "8@(%r8d)", "8@(%ax)", "8@-(%rax)", "8@--8(%rax)", "8@8(%rax", "8@8%rax)",
      "8@%r16",
      "8@%RAX",
      "8@$99999999999999999999", "8@$-9223372036854775809", "8@$+5", "8@$0x", "8@$0x-5", "-@%rax", "8 @%rax",
      "9223372036854775808@%rax", "-9223372036854775808@%rax", "8@x0", "8@[sp]", "8@$٣", "8@\u{1b}[31m",
    ])
  func refused(text: String) {
    let error = #expect(throws: USDTArgument.Unsupported.self) { try USDTArgument.parse(text) }
    #expect(error?.description.unicodeScalars.allSatisfy { (0x20..<0x7f).contains($0.value) } == true)
  }

  @Test(
    "what is refused of arm64",
    arguments: [
      "8@x31", "8@x01", "8@x-1", "8@[x0, x1]", "8@[w0]", "8@[sp, 16]!", "8@[sp, 16, 4]", "8@[]", "8@[sp,]",
      "8@v0",
      "8@%rax",
    ])
  func refusedArm(text: String) {
    #expect(throws: USDTArgument.Unsupported.self) { try USDTArgument.parse(text, machine: .arm64) }
  }

  @Test("any text at all")
  func hostile() {
    let pieces = [
      "8", "-", "4", "@", "%", "rax", "$", "(", ")", "[", "]", ",", " ", "0x", "sp", "x1", "\0", "é",
    ]
    var random = Xorshift()
    var parsed = 0
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...8, using: &random)).map { _ in
        pieces[Int.random(in: 0..<pieces.count, using: &random)]
      }.joined()
      for machine in [USDTArgument.Machine.x86_64, .arm64] {
        if let arguments = try? USDTArgument.parse(text, machine: machine) { parsed += arguments.count }
      }
    }
    // Some of it makes sense.
    #expect(parsed > 0)
  }
}

/// The same sequence every time (Marsaglia, "Xorshift RNGs", 2003).
struct Xorshift: RandomNumberGenerator {
  private var state: UInt64 = 88_172_645_463_325_252

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

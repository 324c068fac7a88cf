import Testing

@testable import Binaries

@Suite("disassembler")
struct DisassemblerTests {
  /// The macros take no value that cannot be copied.
  private func instructions(_ bytes: [UInt8], at address: UInt64) -> [Instruction] {
    guard let disassembler = Disassembler() else { return [] }
    return disassembler.instructions(bytes, at: address)
  }

  private func first(_ bytes: [UInt8]) throws -> Instruction {
    try #require(instructions(bytes, at: 0x1000).first)
  }

  @Test("what an instruction does")
  func effects() throws {
    let push = try first([0x41, 0x54])
    #expect(push.text == "push r12" && push.size == 2 && push.writesStackPointer && push.kind == .straight)
    let load = try first([0x48, 0x8b, 0x07])
    #expect(load.registersRead.contains(.rdi) && load.registersWritten == .rax)
    #expect(try first([0xc3]).kind == .return)
    #expect(try first([0xcc]).kind == .trap)
    #expect(try first([0xff, 0xe0]).kind == .jump)
    #expect(try first([0xff, 0xe0]).branchTarget == nil)
    #expect(try first([0xe3, 0x00]).kind == .conditionalJump)
  }

  @Test("where branches lead")
  func targets() throws {
    #expect(try first([0xe8, 0xfb, 0xff, 0xff, 0xff]).branchTarget == 0x1000)
    #expect(try first([0x0f, 0x84, 0x00, 0x01, 0x00, 0x00]).branchTarget == 0x1106)
    #expect(try first([0xf2, 0xeb, 0x80]).branchTarget == 0x1003 - 0x80)
  }

  @Test("gaps end a sweep and not a search")
  func gaps() {
    let code: [UInt8] = [0x90, 0x06, 0xeb, 0x10]
    #expect(instructions(code, at: 0).count == 1)
    guard let disassembler = Disassembler() else { return }
    let targets = disassembler.directTargets(code, at: 0)
    #expect(targets == [0x14])
  }
}

import CCapstone

/// Registers that matter to a probe.
public struct RegisterSet: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let rdi = RegisterSet(rawValue: 1)
  public static let rsi = RegisterSet(rawValue: 2)
  public static let rdx = RegisterSet(rawValue: 4)
  public static let rsp = RegisterSet(rawValue: 8)
  public static let rbp = RegisterSet(rawValue: 16)
}

/// One x86-64 instruction, as far as choosing a probe site needs to know it.
public struct Instruction: Sendable, Hashable {
  public var address: UInt64
  public var bytes: [UInt8]
  /// Mnemonic and operands, in Intel's syntax.
  public var text: String
  /// Which of the registers that matter it changes, wholly or in part.
  public var writes: RegisterSet

  /// The target of a direct jump, conditional jump or call (Intel SDM volume 2, "Jcc", "JMP", "CALL").
  public var branchTarget: UInt64? {
    let next = address &+ UInt64(bytes.count)
    switch bytes.first {
    case .some(0x70...0x7f), 0xeb, 0xe3:
      guard bytes.count == 2 else { return nil }
      return next &+ UInt64(bitPattern: Int64(Int8(bitPattern: bytes[1])))
    case 0xe8, 0xe9: return bytes.integer(Int32.self, at: 1).map { next &+ UInt64(bitPattern: Int64($0)) }
    case 0x0f where bytes.count == 6 && (0x80...0x8f).contains(bytes[1]):
      return bytes.integer(Int32.self, at: 2).map { next &+ UInt64(bitPattern: Int64($0)) }
    default: return nil
    }
  }

  /// Whether the kernel emulates it under a uprobe (arch/x86/kernel/uprobes.c, the same since 6.1) and drip
  /// dares to use it: push of a register, direct jump, conditional jump, direct call, and the one-byte nop. Not
  /// the longer nops: Linux 6.18 turns a probe on a 5-byte nop into a call, which writes into the red zone.
  public var isEmulated: Bool {
    switch bytes.first {
    case .some(0x50...0x57), 0x90: bytes.count == 1
    case 0x41: bytes.count == 2 && (0x50...0x57).contains(bytes[1])
    case .some(0x70...0x7f), 0xeb: bytes.count == 2
    case 0xe8, 0xe9: bytes.count == 5
    case 0x0f: bytes.count == 6 && (0x80...0x8f).contains(bytes[1])
    default: false
    }
  }
}

/// Capstone, for x86-64. Owns its handle.
final class Disassembler {
  private var handle: csh = 0

  init?() {
    guard cs_open(CS_ARCH_X86, CS_MODE_64, &handle) == CS_ERR_OK else { return nil }
    cs_option(handle, CS_OPT_DETAIL, Int(CS_OPT_ON.rawValue))
  }

  deinit { cs_close(&handle) }

  /// Linear sweep; ends at the first byte that is no instruction.
  func instructions(_ code: [UInt8], address: UInt64) -> [Instruction] {
    var pointer: UnsafeMutablePointer<cs_insn>?
    let count = cs_disasm(handle, code, code.count, address, 0, &pointer)
    guard count > 0, let pointer else { return [] }
    defer { cs_free(pointer, count) }
    return (0..<count).map { instruction(pointer + $0) }
  }

  private func instruction(_ raw: UnsafeMutablePointer<cs_insn>) -> Instruction {
    let bytes = withUnsafeBytes(of: raw.pointee.bytes) { Array($0.prefix(Int(raw.pointee.size))) }
    let mnemonic = Self.text(raw.pointee.mnemonic)
    let operands = Self.text(raw.pointee.op_str)
    return Instruction(
      address: raw.pointee.address, bytes: bytes, text: operands.isEmpty ? mnemonic : mnemonic + " " + operands,
      writes: writes(raw))
  }

  private static func text<T>(_ field: T) -> String {
    withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Registers read and written, explicitly or not. If Capstone cannot tell, everything counts as written.
  private func writes(_ raw: UnsafeMutablePointer<cs_insn>) -> RegisterSet {
    let room = 64
    return withUnsafeTemporaryAllocation(of: UInt16.self, capacity: room * 2) { registers in
      var readCount: UInt8 = 0
      var writeCount: UInt8 = 0
      guard let read = registers.baseAddress,
        cs_regs_access(handle, raw, read, &readCount, read + room, &writeCount) == CS_ERR_OK
      else { return [.rdi, .rsi, .rdx, .rsp, .rbp] }
      var result: RegisterSet = []
      for index in 0..<Int(writeCount) { result.formUnion(Self.family(of: registers[room + index])) }
      return result
    }
  }

  private static func family(of register: UInt16) -> RegisterSet {
    switch x86_reg(UInt32(register)) {
    case X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL: .rdi
    case X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL: .rsi
    case X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH: .rdx
    case X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL: .rsp
    case X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL: .rbp
    default: []
    }
  }
}

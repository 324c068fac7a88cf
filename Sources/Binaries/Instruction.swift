/// A set of general-purpose registers; a part of a register (edi, dil) counts as the whole.
public struct RegisterSet: OptionSet, Sendable, Hashable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let rax = RegisterSet(rawValue: 1 << 0)
  public static let rcx = RegisterSet(rawValue: 1 << 1)
  public static let rdx = RegisterSet(rawValue: 1 << 2)
  public static let rbx = RegisterSet(rawValue: 1 << 3)
  public static let rsp = RegisterSet(rawValue: 1 << 4)
  public static let rbp = RegisterSet(rawValue: 1 << 5)
  public static let rsi = RegisterSet(rawValue: 1 << 6)
  public static let rdi = RegisterSet(rawValue: 1 << 7)

  /// The registers of the first integer arguments (System V AMD64 ABI, 3.2.3), three at most.
  public static func arguments(_ count: Int) -> RegisterSet {
    RegisterSet([RegisterSet.rdi, .rsi, .rdx].prefix(max(count, 0)))
  }

  /// Every name of a part of each register, in the order of the bits.
  static let partNames: [[String]] = {
    let lettered = ["a", "c", "d", "b"].map { ["r\($0)x", "e\($0)x", "\($0)x", "\($0)h", "\($0)l"] }
    let pointers = ["sp", "bp", "si", "di"].map { ["r\($0)", "e\($0)", $0, "\($0)l"] }
    let numbered = (8...15).map { ["r\($0)", "r\($0)d", "r\($0)w", "r\($0)b"] }
    return lettered + pointers + numbered
  }()

  static let byName: [String: RegisterSet] = {
    var result: [String: RegisterSet] = [:]
    for (bit, names) in partNames.enumerated() {
      for name in names { result[name] = RegisterSet(rawValue: 1 << UInt16(bit)) }
    }
    return result
  }()
}

/// A disassembled x86-64 instruction.
public struct Instruction: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    /// Goes on to the next instruction.
    case straight
    case jump
    case conditionalJump
    case call
    case `return`
    /// Enters the kernel or stops: syscall, int3, ud2, hlt.
    case trap
  }

  public var address: UInt64
  public var bytes: [UInt8]
  public var mnemonic: String
  /// In Intel syntax.
  public var operands: String
  public var kind: Kind
  public var registersRead: RegisterSet
  public var registersWritten: RegisterSet
  /// Where a direct jump or call leads.
  public var branchTarget: UInt64?

  /// "push r12"
  public var text: String { operands.isEmpty ? mnemonic : "\(mnemonic) \(operands)" }
  public var size: UInt64 { UInt64(bytes.count) }
  public var writesStackPointer: Bool { registersWritten.contains(.rsp) }
}

extension Instruction {
  /// Whether the kernel emulates the instruction under a uprobe, on every version that has uprobes on x86-64
  /// and is worth supporting (arch/x86/kernel/uprobes.c: branch_setup_xol_ops, push_setup_xol_ops; 6.1 and on).
  /// Prefixed forms are not, and nops of several bytes are left out on purpose: Linux 6.18 turns a probe on a
  /// 5-byte nop into a call, which destroys the red zone.
  public var isEmulatedByKernel: Bool {
    switch (bytes.count, bytes.first ?? 0) {
    case (1, 0x90), (1, 0x50...0x57): true
    case (2, 0xeb), (2, 0x70...0x7f): true
    case (2, 0x41): (0x50...0x57).contains(bytes[1])
    case (5, 0xe8), (5, 0xe9): true
    case (6, 0x0f): (0x80...0x8f).contains(bytes[1])
    default: false
    }
  }

  /// Whether the kernel puts no probe on the instruction at all (is_prefix_bad and the good_insns tables there):
  /// segment prefixes of the old kind and lock, input and output, and what stops the processor.
  public var isRefusedByKernel: Bool {
    var at = 0
    while at < bytes.count {
      switch bytes[at] {
      case 0x26, 0x2e, 0x36, 0x3e, 0xf0: return true
      case 0x64...0x67, 0xf2, 0xf3, 0x40...0x4f: at += 1
      case 0x6c...0x6f, 0xcc...0xcf, 0xe4...0xe7, 0xec...0xef, 0xf1, 0xf4, 0xfa, 0xfb: return true
      default: return false
      }
    }
    return true
  }

  /// A nop of several bytes.
  public var isLongNop: Bool { mnemonic == "nop" && bytes.count > 1 }

  /// The target of a direct jump or call, from the instruction's bytes: the displacement comes last and counts
  /// from the end of the instruction.
  static func directTarget(_ bytes: ArraySlice<UInt8>, at address: UInt64) -> UInt64? {
    var rest = bytes.drop { (0x64...0x67).contains($0) || [0x26, 0x2e, 0x36, 0x3e, 0xf2, 0xf3].contains($0) }
    rest = rest.drop { (0x40...0x4f).contains($0) }
    guard let opcode = rest.first, let last = rest.last else { return nil }
    let next = address &+ UInt64(bytes.count)
    switch opcode {
    case 0xeb, 0x70...0x7f, 0xe0...0xe3:
      guard rest.count == 2 else { return nil }
      return next &+ UInt64(bitPattern: Int64(Int8(bitPattern: last)))
    case 0xe8, 0xe9:
      guard rest.count == 5 else { return nil }
    case 0x0f:
      guard rest.count == 6, (0x80...0x8f).contains(rest[rest.startIndex + 1]) else { return nil }
    default: return nil
    }
    let displacement = rest.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return next &+ UInt64(bitPattern: Int64(Int32(bitPattern: displacement)))
  }
}

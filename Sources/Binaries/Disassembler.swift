internal import CCapstone

/// An x86-64 disassembler. Owns its capstone handle; the only place that knows of capstone.
public struct Disassembler: ~Copyable {
  private let handle: csh
  private let scratch: UnsafeMutablePointer<cs_insn>
  /// Register sets by capstone's register numbers.
  private let registers: [RegisterSet]

  /// Nil if capstone has no x86 support or there is no memory.
  public init?() {
    var handle: csh = 0
    guard cs_open(CS_ARCH_X86, CS_MODE_64, &handle) == CS_ERR_OK else { return nil }
    guard cs_option(handle, CS_OPT_DETAIL, Int(CS_OPT_ON.rawValue)) == CS_ERR_OK,
      let scratch = cs_malloc(handle)
    else {
      cs_close(&handle)
      return nil
    }
    self.handle = handle
    self.scratch = scratch
    registers = (0..<UInt32(X86_REG_ENDING.rawValue)).map { number in
      cs_reg_name(handle, number).flatMap { RegisterSet.byName[String(cString: $0)] } ?? []
    }
  }

  deinit {
    cs_free(scratch, 1)
    var handle = handle
    cs_close(&handle)
  }

  /// The instructions from the first byte on, up to a limit or to bytes that are none.
  public borrowing func instructions(_ code: [UInt8], at address: UInt64, limit: Int = .max) -> [Instruction]
  {
    var result: [Instruction] = []
    walk(code, at: address, skipsGaps: false) { offset in
      guard result.count < limit else { return false }
      result.append(decoded(Array(code[offset..<offset + Int(scratch.pointee.size)])))
      return result.count < limit
    }
    return result
  }

  /// Where the direct jumps and calls in the code lead. Bytes that are no instructions are stepped over.
  public borrowing func directTargets(_ code: [UInt8], at address: UInt64) -> [UInt64] {
    var result: [UInt64] = []
    walk(code, at: address, skipsGaps: true) { offset in
      let bytes = code[offset..<offset + Int(scratch.pointee.size)]
      if let target = Instruction.directTarget(bytes, at: address &+ UInt64(offset)) { result.append(target) }
      return true
    }
    return result
  }

  /// Decodes into `scratch` one instruction after the other, and tells the body its offset.
  private borrowing func walk(_ code: [UInt8], at address: UInt64, skipsGaps: Bool, _ body: (Int) -> Bool) {
    code.withUnsafeBufferPointer { buffer in
      var at = 0
      while at < buffer.count, let base = buffer.baseAddress {
        var next: UnsafePointer<UInt8>? = base + at
        var left = buffer.count - at
        var here = address &+ UInt64(at)
        if cs_disasm_iter(handle, &next, &left, &here, scratch), scratch.pointee.size > 0 {
          guard body(at) else { return }
          at += Int(scratch.pointee.size)
        } else if skipsGaps {
          at += 1
        } else {
          return
        }
      }
    }
  }

  private borrowing func decoded(_ bytes: [UInt8]) -> Instruction {
    let mnemonic = Self.string(scratch.pointee.mnemonic)
    let operands = Self.string(scratch.pointee.op_str)
    let (read, written) = registerAccess()
    let address = scratch.pointee.address
    return Instruction(
      address: address, bytes: bytes, mnemonic: mnemonic, operands: operands, kind: kind(mnemonic),
      registersRead: read, registersWritten: written.union(Self.destinations(mnemonic, operands)),
      branchTarget: Instruction.directTarget(bytes[...], at: address))
  }

  private borrowing func registerAccess() -> (read: RegisterSet, written: RegisterSet) {
    // cs_regs is uint16_t[64].
    var reads = [UInt16](repeating: 0, count: 64)
    var writes = reads
    var readCount: UInt8 = 0
    var writeCount: UInt8 = 0
    guard cs_regs_access(handle, scratch, &reads, &readCount, &writes, &writeCount) == CS_ERR_OK else {
      // Unknown is taken for the worst.
      return (RegisterSet(rawValue: .max), RegisterSet(rawValue: .max))
    }
    return (set(reads.prefix(Int(readCount))), set(writes.prefix(Int(writeCount))))
  }

  private borrowing func set(_ numbers: ArraySlice<UInt16>) -> RegisterSet {
    var result: RegisterSet = []
    for number in numbers where Int(number) < registers.count { result.formUnion(registers[Int(number)]) }
    return result
  }

  private borrowing func kind(_ mnemonic: String) -> Instruction.Kind {
    if ["syscall", "sysenter", "ud2", "hlt", "xbegin", "xabort"].contains(mnemonic) { return .trap }
    if isIn(CS_GRP_CALL) { return .call }
    if isIn(CS_GRP_RET) || isIn(CS_GRP_IRET) { return .return }
    if isIn(CS_GRP_INT) { return .trap }
    guard isIn(CS_GRP_JUMP) || mnemonic.hasPrefix("loop") || mnemonic.hasPrefix("j") else { return .straight }
    return mnemonic.hasSuffix("jmp") ? .jump : .conditionalJump
  }

  private borrowing func isIn(_ group: cs_group_type) -> Bool {
    cs_insn_group(handle, scratch, group.rawValue)
  }

  /// Registers that the text shows as a destination. Capstone 4 misses the access of some operands; a write
  /// assumed too much costs a slower probe, one missed would cost a wrong size.
  private static func destinations(_ mnemonic: String, _ operands: String) -> RegisterSet {
    let readers = ["cmp", "test", "bt", "nop", "push", "call", "jmp"]
    guard !readers.contains(mnemonic) else { return [] }
    let exchanges = mnemonic.contains("xchg") || mnemonic.contains("xadd")
    return operands.split(separator: ",").prefix(exchanges ? 2 : 1).reduce(into: RegisterSet()) {
      result, operand in
      result.formUnion(RegisterSet.byName[String(operand.drop { $0 == " " })] ?? [])
    }
  }

  /// A C array of characters, which Swift sees as a tuple.
  private static func string<Characters>(_ characters: Characters) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// The few DWARF expressions (DWARF 5 section 2.5) that stand in real call frame information.
enum CFAExpression {
  /// The rule for a CFA expression: a PLT stub's of x86-64, or one dereference of stack or frame pointer; else
  /// unsupported.
  static func rule(_ expression: EhCursor, _ machine: Machine) -> UnwindRule {
    let bytes = expression.bytes[min(expression.at, expression.end)..<expression.end]
    // breg7 8; breg16 0; lit15; and; lit N; ge; lit3; shl; plus
    if machine == .x86_64, bytes.count == 11, Array(bytes.prefix(6)) == [0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a],
      Array(bytes.suffix(4)) == [0x2a, 0x33, 0x24, 0x22]
    {
      let literal = bytes[bytes.startIndex + 6]
      guard (0x30...0x4f).contains(literal) else { return UnwindRule(.unsupported) }
      return UnwindRule(.plt, offset: Int32(literal - 0x30))
    }
    var cursor = expression
    let base = cursor.fixed(UInt8.self)
    let inner = cursor.signed()
    guard let register = register(base, machine), cursor.fixed(UInt8.self) == 0x06,
      let low = Int16(exactly: inner)
    else {
      return UnwindRule(.unsupported)
    }
    var outer: UInt64 = 0
    if !cursor.isAtEnd {
      guard cursor.fixed(UInt8.self) == 0x23 else { return UnwindRule(.unsupported) }
      outer = cursor.unsigned()
    }
    guard !cursor.failed, cursor.at == cursor.end, let high = Int16(exactly: outer) else {
      return UnwindRule(.unsupported)
    }
    let packed = Int32(high) << 16 | Int32(UInt16(bitPattern: low))
    return UnwindRule(register == machine.framePointer ? .dereferencedFP : .dereferencedSP, offset: packed)
  }

  /// A place that is a register plus an offset, for the two registers that a walk knows.
  static func location(_ expression: EhCursor, _ machine: Machine) -> (register: UInt64, offset: Int64)? {
    var cursor = expression
    let opcode = cursor.fixed(UInt8.self)
    let offset = cursor.signed()
    guard !cursor.failed, cursor.at == cursor.end, let register = register(opcode, machine) else {
      return nil
    }
    return (register, offset)
  }

  /// The register of a DW_OP_breg, if it is one that a walk knows.
  private static func register(_ opcode: UInt8, _ machine: Machine) -> UInt64? {
    guard (0x70...0x8f).contains(opcode) else { return nil }
    let register = UInt64(opcode - 0x70)
    return register == machine.framePointer || register == machine.stackPointer ? register : nil
  }
}

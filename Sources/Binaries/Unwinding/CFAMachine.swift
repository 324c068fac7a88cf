/// Executes call frame instructions (DWARF 5 section 6.4.2) for x86-64, keeping only what a walk needs: the CFA,
/// where rbp is saved, and whether there is a return address. Register numbers: psABI figure 3.36.
struct CFAMachine {
  private static let rbp: UInt64 = 6
  private static let rsp: UInt64 = 7
  private static let returnAddress: UInt64 = 16

  private struct State {
    var cfaRegister: UInt64 = 7
    var cfaOffset: Int64 = 8
    /// Set when the CFA is an expression.
    var expression: UnwindRule?
    var fp = UnwindRule.FramePointer.same
    var fpOffset: Int64 = 0
    var isFPUnsupported = false
    var isReturnUndefined = false
    var isReturnElsewhere = false
  }

  let codeAlignment: UInt64
  let dataAlignment: Int64
  let isSignalFrame: Bool
  let pointerEncoding: UInt8
  let sectionAddress: UInt64
  private var state = State()
  private var initial = State()
  private var stack: [State] = []
  private(set) var location: UInt64 = 0

  init(
    codeAlignment: UInt64, dataAlignment: Int64, isSignalFrame: Bool, pointerEncoding: UInt8,
    sectionAddress: UInt64
  ) {
    self.codeAlignment = codeAlignment
    self.dataAlignment = dataAlignment
    self.isSignalFrame = isSignalFrame
    self.pointerEncoding = pointerEncoding
    self.sectionAddress = sectionAddress
  }

  /// Runs the CIE's instructions, which every FDE begins with.
  mutating func runInitial(_ cursor: EhCursor) -> Bool {
    let isFine = run(cursor) { _, _ in }
    initial = state
    return isFine
  }

  /// Runs an FDE's instructions from `start` on; `emit` gets each rule with the address that it begins at.
  mutating func run(_ cursor: EhCursor, from start: UInt64, emit: (UInt64, UnwindRule) -> Void) -> Bool {
    state = initial
    stack.removeAll(keepingCapacity: true)
    location = start
    let isFine = run(cursor, emit: emit)
    emit(location, rule)
    return isFine
  }

  private var rule: UnwindRule {
    if state.isReturnUndefined { return UnwindRule(.stop) }
    if isSignalFrame, state.expression != nil { return UnwindRule(.signal) }
    guard !state.isReturnElsewhere, !state.isFPUnsupported, let fpOffset = Int16(exactly: state.fpOffset)
    else {
      return UnwindRule(.unsupported)
    }
    if var rule = state.expression {
      rule.fpKind = state.fp.rawValue
      rule.fpOffset = fpOffset
      return rule
    }
    guard let offset = Int32(exactly: state.cfaOffset) else { return UnwindRule(.unsupported) }
    switch state.cfaRegister {
    case Self.rsp: return UnwindRule(.rsp, offset: offset, framePointer: state.fp, fpOffset: fpOffset)
    case Self.rbp: return UnwindRule(.rbp, offset: offset, framePointer: state.fp, fpOffset: fpOffset)
    default: return UnwindRule(.unsupported)
    }
  }

  private mutating func run(_ start: EhCursor, emit: (UInt64, UnwindRule) -> Void) -> Bool {
    var cursor = start
    while !cursor.isAtEnd {
      let opcode = cursor.fixed(UInt8.self)
      let operand = UInt64(opcode & 0x3f)
      switch opcode & 0xc0 {
      case 0x40: advance(operand, emit)
      case 0x80: setOffset(operand, Int64(bitPattern: cursor.unsigned()) &* dataAlignment)
      case 0xc0: restore(operand)
      default: guard extended(opcode, &cursor, emit) else { return false }
      }
    }
    return !cursor.failed
  }

  private mutating func advance(_ delta: UInt64, _ emit: (UInt64, UnwindRule) -> Void) {
    emit(location, rule)
    location = location &+ delta &* codeAlignment
  }

  private mutating func extended(
    _ opcode: UInt8, _ cursor: inout EhCursor, _ emit: (UInt64, UnwindRule) -> Void
  ) -> Bool {
    switch opcode {
    case 0x00: break  // nop
    case 0x01:  // set_loc
      guard let address = cursor.pointer(encoding: pointerEncoding, base: sectionAddress) else {
        return false
      }
      emit(location, rule)
      location = address
    case 0x02: advance(UInt64(cursor.fixed(UInt8.self)), emit)
    case 0x03: advance(UInt64(cursor.fixed(UInt16.self)), emit)
    case 0x04: advance(UInt64(cursor.fixed(UInt32.self)), emit)
    case 0x05:  // offset_extended
      let register = cursor.unsigned()
      setOffset(register, Int64(bitPattern: cursor.unsigned()) &* dataAlignment)
    case 0x11:  // offset_extended_sf
      let register = cursor.unsigned()
      setOffset(register, cursor.signed() &* dataAlignment)
    case 0x2f:  // GNU_negative_offset_extended
      let register = cursor.unsigned()
      setOffset(register, 0 &- Int64(bitPattern: cursor.unsigned()) &* dataAlignment)
    case 0x06: restore(cursor.unsigned())
    case 0x07: setUndefined(cursor.unsigned())
    case 0x08: setSame(cursor.unsigned())
    case 0x09:  // register
      let register = cursor.unsigned()
      _ = cursor.unsigned()
      setElsewhere(register)
    case 0x0a:
      guard stack.count < 64 else { return false }
      stack.append(state)
    case 0x0b:
      guard let saved = stack.popLast() else { return false }
      state = saved
    case 0x0c:  // def_cfa
      state.cfaRegister = cursor.unsigned()
      state.cfaOffset = Int64(bitPattern: cursor.unsigned())
      state.expression = nil
    case 0x12:  // def_cfa_sf
      state.cfaRegister = cursor.unsigned()
      state.cfaOffset = cursor.signed() &* dataAlignment
      state.expression = nil
    case 0x0d:
      state.cfaRegister = cursor.unsigned()
      state.expression = nil
    case 0x0e: state.cfaOffset = Int64(bitPattern: cursor.unsigned())
    case 0x13: state.cfaOffset = cursor.signed() &* dataAlignment
    case 0x0f: state.expression = CFAExpression.rule(block(&cursor))
    case 0x10:  // expression
      let register = cursor.unsigned()
      setExpression(register, block(&cursor))
    case 0x14, 0x15:  // val_offset, val_offset_sf
      setElsewhere(cursor.unsigned())
      _ = cursor.unsigned()
    case 0x16:  // val_expression
      setElsewhere(cursor.unsigned())
      _ = block(&cursor)
    case 0x2e: _ = cursor.unsigned()  // GNU_args_size
    case 0x2d: break  // GNU_window_save, AARCH64_negate_ra_state
    default: return false
    }
    return !cursor.failed
  }

  private func block(_ cursor: inout EhCursor) -> EhCursor {
    let length = cursor.unsigned()
    let start = cursor.at
    cursor.skip(length)
    return EhCursor(cursor.bytes, at: start, end: cursor.at)
  }

  private mutating func setOffset(_ register: UInt64, _ offset: Int64) {
    switch register {
    case Self.rbp:
      state.fp = .atCFA
      state.fpOffset = offset
      state.isFPUnsupported = false
    case Self.returnAddress:
      state.isReturnUndefined = false
      state.isReturnElsewhere = offset != -8
    default: break
    }
  }

  private mutating func setExpression(_ register: UInt64, _ expression: EhCursor) {
    guard register == Self.rbp, !isSignalFrame else { return }
    guard let (base, offset) = CFAExpression.location(expression) else {
      state.isFPUnsupported = true
      return
    }
    state.fp = base == Self.rsp ? .atRSP : .atRBP
    state.fpOffset = offset
  }

  private mutating func setUndefined(_ register: UInt64) {
    if register == Self.rbp { state.fp = .undefined }
    if register == Self.returnAddress { state.isReturnUndefined = true }
  }

  private mutating func setSame(_ register: UInt64) {
    if register == Self.rbp {
      state.fp = .same
      state.fpOffset = 0
      state.isFPUnsupported = false
    }
  }

  private mutating func setElsewhere(_ register: UInt64) {
    if register == Self.rbp { state.isFPUnsupported = true }
    if register == Self.returnAddress { state.isReturnElsewhere = true }
  }

  private mutating func restore(_ register: UInt64) {
    if register == Self.rbp {
      state.fp = initial.fp
      state.fpOffset = initial.fpOffset
      state.isFPUnsupported = initial.isFPUnsupported
    }
    if register == Self.returnAddress {
      state.isReturnUndefined = initial.isReturnUndefined
      state.isReturnElsewhere = initial.isReturnElsewhere
    }
  }
}

/// The few DWARF expressions (DWARF 5 section 2.5) that stand in real call frame information.
enum CFAExpression {
  /// The rule for a CFA expression: a PLT stub's, or one dereference of rsp or rbp; else unsupported.
  static func rule(_ expression: EhCursor) -> UnwindRule {
    let bytes = expression.bytes[min(expression.at, expression.end)..<expression.end]
    // breg7 8; breg16 0; lit15; and; lit N; ge; lit3; shl; plus
    if bytes.count == 11, Array(bytes.prefix(6)) == [0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a],
      Array(bytes.suffix(4)) == [0x2a, 0x33, 0x24, 0x22]
    {
      let literal = bytes[bytes.startIndex + 6]
      guard (0x30...0x4f).contains(literal) else { return UnwindRule(.unsupported) }
      return UnwindRule(.plt, offset: Int32(literal - 0x30))
    }
    var cursor = expression
    let base = cursor.fixed(UInt8.self)
    let inner = cursor.signed()
    guard base == 0x76 || base == 0x77, cursor.fixed(UInt8.self) == 0x06, let low = Int16(exactly: inner)
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
    return UnwindRule(base == 0x76 ? .dereferencedRBP : .dereferencedRSP, offset: packed)
  }

  /// A place that is a register plus an offset, for the two registers that a walk knows.
  static func location(_ expression: EhCursor) -> (register: UInt64, offset: Int64)? {
    var cursor = expression
    let opcode = cursor.fixed(UInt8.self)
    let offset = cursor.signed()
    guard !cursor.failed, cursor.at == cursor.end, opcode == 0x76 || opcode == 0x77 else { return nil }
    return (UInt64(opcode - 0x70), offset)
  }
}

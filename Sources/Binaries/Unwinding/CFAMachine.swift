/// Executes call frame instructions (DWARF 5 section 6.4.2), keeping only what a walk needs: the CFA, where the frame
/// pointer is saved, and where the return address is.
struct CFAMachine {
  /// Where the return address is.
  private enum Return: Equatable {
    /// There is none: the outermost frame.
    case undefined
    /// In its register, as at the function's entry; arm64 only.
    case inRegister
    case atCFA(Int64)
    case elsewhere
  }

  private struct State {
    var cfaRegister: UInt64
    var cfaOffset: Int64
    /// Set when the CFA is an expression.
    var expression: UnwindRule?
    var fp = UnwindRule.FramePointer.same
    var fpOffset: Int64 = 0
    var isFPUnsupported = false
    var returnAddress: Return

    /// What holds at a function's entry, as far as CIEs do not care to say.
    init(_ machine: Machine) {
      cfaRegister = machine.stackPointer
      cfaOffset = machine == .x86_64 ? 8 : 0
      returnAddress = machine == .x86_64 ? .atCFA(-8) : .inRegister
    }
  }

  private let machine: Machine
  private let stackPointer: UInt64
  private let framePointer: UInt64
  private let returnRegister: UInt64

  let codeAlignment: UInt64
  let dataAlignment: Int64
  let isSignalFrame: Bool
  let pointerEncoding: UInt8
  let sectionAddress: UInt64
  private var state: State
  private var initial: State
  private var stack: [State] = []
  private(set) var location: UInt64 = 0

  init(
    _ machine: Machine, codeAlignment: UInt64, dataAlignment: Int64, isSignalFrame: Bool,
    pointerEncoding: UInt8, sectionAddress: UInt64
  ) {
    self.machine = machine
    stackPointer = machine.stackPointer
    framePointer = machine.framePointer
    returnRegister = machine.returnAddress
    state = State(machine)
    initial = state
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
    if state.returnAddress == .undefined { return UnwindRule(.stop) }
    if isSignalFrame, machine == .arm64 || state.expression != nil { return UnwindRule(.signal) }
    guard !state.isFPUnsupported, let (place, fpOffset) = returnPlace else { return UnwindRule(.unsupported) }
    if var rule = state.expression {
      guard place == .belowCFA else { return UnwindRule(.unsupported) }
      rule.fpKind = state.fp.rawValue
      rule.fpOffset = fpOffset
      return rule
    }
    guard let offset = Int32(exactly: state.cfaOffset) else { return UnwindRule(.unsupported) }
    let base: UnwindRule.CFA
    switch state.cfaRegister {
    case stackPointer: base = .stackPointer
    case framePointer: base = .framePointer
    default: return UnwindRule(.unsupported)
    }
    return UnwindRule(
      base, offset: offset, framePointer: state.fp, fpOffset: fpOffset, returnAddress: place)
  }

  /// Where the return address is, and the offset that the frame pointer's place shares with it. Nil if a rule cannot say
  /// both.
  private var returnPlace: (UnwindRule.ReturnAddress, Int16)? {
    guard let fpOffset = Int16(exactly: state.fpOffset) else { return nil }
    switch state.returnAddress {
    case .atCFA(-8) where machine == .x86_64: return (.belowCFA, fpOffset)
    case .atCFA(let offset) where machine == .arm64:
      if state.fp == .atCFA { return offset == state.fpOffset + 8 ? (.aboveFP, fpOffset) : nil }
      guard state.fp == .same, let offset = Int16(exactly: offset) else { return nil }
      return (.atCFA, offset)
    case .inRegister: return (.inRegister, fpOffset)
    default: return nil
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
    case 0x0f: state.expression = CFAExpression.rule(block(&cursor), machine)
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
    // AARCH64_negate_ra_state_with_pc, AARCH64_negate_ra_state: from here on the return address is signed, or no longer.
    // A walk takes the signature off any return address.
    case 0x2c, 0x2d: break
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
    if register == framePointer {
      state.fp = .atCFA
      state.fpOffset = offset
      state.isFPUnsupported = false
    } else if register == returnRegister {
      state.returnAddress = .atCFA(offset)
    }
  }

  private mutating func setExpression(_ register: UInt64, _ expression: EhCursor) {
    guard !isSignalFrame else { return }
    if register == returnRegister { state.returnAddress = .elsewhere }
    guard register == framePointer else { return }
    guard let (base, offset) = CFAExpression.location(expression, machine) else {
      state.isFPUnsupported = true
      return
    }
    state.fp = base == stackPointer ? .atSP : .atFP
    state.fpOffset = offset
    state.isFPUnsupported = false
  }

  private mutating func setUndefined(_ register: UInt64) {
    if register == framePointer { state.fp = .undefined }
    if register == returnRegister { state.returnAddress = .undefined }
  }

  private mutating func setSame(_ register: UInt64) {
    if register == framePointer {
      state.fp = .same
      state.fpOffset = 0
      state.isFPUnsupported = false
    }
    if register == returnRegister { state.returnAddress = machine == .arm64 ? .inRegister : .elsewhere }
  }

  private mutating func setElsewhere(_ register: UInt64) {
    if register == framePointer { state.isFPUnsupported = true }
    if register == returnRegister { state.returnAddress = .elsewhere }
  }

  private mutating func restore(_ register: UInt64) {
    if register == framePointer {
      state.fp = initial.fp
      state.fpOffset = initial.fpOffset
      state.isFPUnsupported = initial.isFPUnsupported
    }
    if register == returnRegister { state.returnAddress = initial.returnAddress }
  }
}

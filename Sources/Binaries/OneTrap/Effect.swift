/// A place in terms that stay the same while rsp moves: a register, or a word of the own frame by its distance below
/// the canonical frame address (the return address is at 8).
struct Spot: Hashable, Sendable {
  /// 0 to 15: a register by its number. From 16 on: a frame word, its distance plus 16.
  private let raw: Int

  private init(raw: Int) { self.raw = raw }

  static func register(_ number: Int) -> Spot { Spot(raw: number) }
  static func frame(_ distance: Int) -> Spot { Spot(raw: distance + 16) }

  static let rax = Spot.register(0)
  static let rbp = Spot.register(5)
  static let rdi = Spot.register(7)
  static let rsi = Spot.register(6)

  var register: Int? { raw < 16 ? raw : nil }
  var frameDistance: Int? { raw < 16 ? nil : raw - 16 }
}

/// What an instruction does to the values that the analysis follows. Only what is certain is told; the rest is a
/// `clobber`.
enum Effect: Hashable, Sendable {
  /// All eight bytes go from one place to the other.
  case copy(to: Operand, from: Operand)
  case push(Int)
  case pop(Int)
  /// rsp goes down by so many bytes; up if negative.
  case lower(Int)
  /// rsp gets the value of rbp, then rbp is popped.
  case leave
  /// rbp points into the frame from now on: it gets the value of rsp.
  case setFramePointer
  case zero(Int)
  /// rdx:rax = rax * register
  case multiply(Int)
  /// register = register * the other one
  case multiplyInto(Int, Int)
  /// These registers and these bytes of the stack may have any value.
  case clobber(RegisterSet, memory: Memory?)
  /// The address of a part of the frame is in a register, or rsp is moved in a way that cannot be followed.
  case escape

  enum Operand: Hashable, Sendable {
    case register(Int)
    case memory(Memory)
  }

  /// A part of the stack, by rsp or rbp.
  struct Memory: Hashable, Sendable {
    var isByFramePointer: Bool
    var displacement: Int
    var bytes: Int
  }

  /// The registers that a call leaves as they are by the ABI (System V AMD64, 3.2.1): rbx, rsp, rbp, r12 to r15.
  static let keptByCalls: RegisterSet = [
    .rbx, .rsp, .rbp, RegisterSet(rawValue: 0xf000),
  ]

  init(_ instruction: Instruction) {
    let operands = instruction.operands.split(separator: ",").map { $0.drop { $0 == " " } }
    let registers = operands.map { Self.wholeRegister($0) }
    self = .clobber(instruction.registersWritten, memory: Self.written(instruction, operands))
    switch (instruction.mnemonic, operands.count) {
    case ("push", 1):
      self = registers[0].map { .push($0) } ?? .lower(8)
    case ("pop", 1):
      self = registers[0].map { .pop($0) } ?? .escape
    case ("leave", 0):
      self = .leave
    case ("mov", 2):
      move(operands, registers, instruction)
    case ("sub", 2) where registers[0] == 4:
      self = Self.number(operands[1]).map { .lower($0) } ?? .escape
    case ("add", 2) where registers[0] == 4:
      self = Self.number(operands[1]).map { .lower(-$0) } ?? .escape
    case ("lea", 2):
      address(operands, registers, instruction)
    case ("xor", 2), ("sub", 2):
      // A write of the lower half clears the upper one.
      if operands[0] == operands[1], let number = Self.register(operands[0]) { self = .zero(number) }
    case ("mul", 1):
      if let register = registers[0] { self = .multiply(register) }
    case ("imul", 2):
      if let to = registers[0], let by = registers[1] { self = .multiplyInto(to, by) }
    default:
      if instruction.writesStackPointer, instruction.kind == .straight { self = .escape }
    }
    // rsp as a part of a sum, an operand of a comparison that nobody makes: an address of the frame all the same.
    if case .clobber = self, registers.contains(4), !["cmp", "test"].contains(instruction.mnemonic) {
      self = .escape
    }
  }

  /// Whether an instruction takes an address from rbp: the frame's, if rbp points into it.
  static func takesAddress(_ instruction: Instruction) -> Bool {
    let operands = instruction.operands.split(separator: ",").map { $0.drop { $0 == " " } }
    switch instruction.mnemonic {
    case "cmp", "test", "push", "pop", "leave": return false
    case "lea": return operands.last?.contains("rbp") == true
    default: return operands.dropFirst().contains("rbp")
    }
  }

  private mutating func move(_ operands: [Substring], _ registers: [Int?], _ instruction: Instruction) {
    if registers[0] == 5, registers[1] == 4 {
      self = .setFramePointer
    } else if registers[0] == 4 || registers[1] == 4 {
      self = .escape
    } else if operands[1] == "0", let number = Self.register(operands[0]) {
      self = .zero(number)
    } else if let to = Self.operand(operands[0], registers[0]),
      let from = Self.operand(operands[1], registers[1])
    {
      self = .copy(to: to, from: from)
    }
  }

  private mutating func address(_ operands: [Substring], _ registers: [Int?], _ instruction: Instruction) {
    let text = operands[1]
    guard let memory = Self.memory("qword ptr " + text) else {
      // Part of a sum, it would be an address all the same.
      if text.contains("rsp") { self = .escape }
      return
    }
    if registers[0] == 4, !memory.isByFramePointer {
      self = .lower(-memory.displacement)
    } else if !memory.isByFramePointer || registers[0] == 4 {
      self = .escape
    }
  }

  private static func operand(_ text: Substring, _ register: Int?) -> Operand? {
    if let register { return .register(register) }
    guard let memory = memory(String(text)), memory.bytes == 8 else { return nil }
    return .memory(memory)
  }

  /// What an instruction may write of the stack.
  private static func written(_ instruction: Instruction, _ operands: [Substring]) -> Memory? {
    let readers = ["cmp", "test", "bt", "nop", "push", "call", "jmp", "lea", "ucomisd", "comisd"]
    guard let first = operands.first, first.contains("["), !readers.contains(instruction.mnemonic) else {
      return nil
    }
    if let memory = memory(String(first)) { return memory }
    // With an index it may be anywhere in the frame.
    return first.contains("rsp")
      ? Memory(isByFramePointer: false, displacement: -4096, bytes: 1 << 20) : nil
  }

  /// "qword ptr [rsp + 0x18]"
  private static func memory(_ text: String) -> Memory? {
    let sizes = ["byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32, "zmmword": 64]
    let parts = text.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count >= 3, let bytes = sizes[String(parts[0])], parts[1] == "ptr",
      let open = text.firstIndex(of: "["), let close = text.lastIndex(of: "]"), open < close
    else { return nil }
    let inner = text[text.index(after: open)..<close].split(separator: " ")
    guard let base = inner.first, base == "rsp" || base == "rbp" else { return nil }
    var displacement = 0
    switch inner.count {
    case 1: break
    case 3:
      guard let value = number(inner[2]) else { return nil }
      displacement = inner[1] == "-" ? -value : value
    default: return nil
    }
    return Memory(isByFramePointer: base == "rbp", displacement: displacement, bytes: bytes)
  }

  /// A number as the disassembler prints it; nothing larger than a stack frame.
  private static func number(_ text: Substring) -> Int? {
    let isNegative = text.hasPrefix("-")
    let digits = isNegative ? text.dropFirst() : text
    let value = digits.hasPrefix("0x") ? Int(digits.dropFirst(2), radix: 16) : Int(digits)
    guard let value, value < 1 << 30 else { return nil }
    return isNegative ? -value : value
  }

  private static func wholeRegister(_ text: Substring) -> Int? {
    RegisterSet.partNames.firstIndex { $0.first == String(text) }
  }

  /// A register by its name of 64 or 32 bits: writing either sets all of it.
  private static func register(_ text: Substring) -> Int? {
    RegisterSet.partNames.firstIndex { $0.prefix(2).contains(String(text)) }
  }
}

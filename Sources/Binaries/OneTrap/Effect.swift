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
  /// A word that is no register's value.
  case pushOther
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

  /// What is written of the stack by a plain store.
  var memoryWritten: Memory? {
    switch self {
    case .copy(to: .memory(let memory), from: _): memory
    case .clobber(_, let memory): memory
    default: nil
    }
  }

  /// The registers that a call leaves as they are by the ABI (System V AMD64, 3.2.1): rbx, rsp, rbp, r12 to r15.
  static let keptByCalls: RegisterSet = [
    .rbx, .rsp, .rbp, RegisterSet(rawValue: 0xf000),
  ]

  init(_ instruction: Instruction) {
    let operands = instruction.operands.split(separator: ",").map { $0.drop { $0 == " " } }
    let registers = operands.map { Self.wholeRegister($0) }
    self = .clobber(Self.lost(instruction), memory: Self.written(instruction, operands))
    switch (instruction.mnemonic, operands.count) {
    case ("push", 1):
      self = registers[0].map { .push($0) } ?? .pushOther
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
    default: break
    }
    if Self.movesStackOddly(instruction, operands, self) { self = .escape }
  }

  /// The registers that may have another value after an instruction. Capstone 4 does not tell of all that it
  /// writes without naming it (Intel SDM volume 2; the kernel's entry code keeps all but rax, rcx and r11).
  static func lost(_ instruction: Instruction) -> RegisterSet {
    let mnemonic = instruction.mnemonic
    if mnemonic == "syscall" {
      return instruction.registersWritten.union([.rax, .rcx, RegisterSet(rawValue: 1 << 11)])
    }
    if mnemonic.contains("cmpxchg") { return instruction.registersWritten.union([.rax, .rdx]) }
    if mnemonic.hasPrefix("xlat") { return instruction.registersWritten.union(.rax) }
    return instruction.registersWritten
  }

  /// Whether an instruction does with rsp anything but what the effect found for it tells, or hands on an address
  /// of the frame as a part of a sum.
  private static func movesStackOddly(_ instruction: Instruction, _ operands: [Substring], _ effect: Effect)
    -> Bool
  {
    // Addresses of 32 bits, which nobody makes of the stack's.
    if operands.contains(where: { $0.contains("[") && ($0.contains("esp") || $0.contains("ebp")) }) {
      return true
    }
    switch effect {
    case .lower, .setFramePointer, .escape: return false
    case .push, .pushOther, .pop, .leave:
      // Of 16 bits.
      if instruction.bytes.prefix(4).dropLast().contains(0x66) { return true }
    default:
      if instruction.kind == .straight, instruction.writesStackPointer || instruction.mnemonic == "enter" {
        return true
      }
    }
    return !["cmp", "test"].contains(instruction.mnemonic)
      && operands.contains { RegisterSet.partNames[4].contains(String($0)) }
  }

  /// Whether an instruction takes an address from rbp, or makes another of it: the frame's, if rbp points into it.
  static func takesAddress(_ instruction: Instruction) -> Bool {
    let operands = instruction.operands.split(separator: ",").map { $0.drop { $0 == " " } }
    let isPart = operands.map { RegisterSet.partNames[5].contains(String($0)) }
    switch instruction.mnemonic {
    case "cmp", "test", "leave": return false
    case "lea":
      return operands.last?.contains("bp") == true
    case "mov", "movabs", "movzx", "movsx", "movsxd", "pop":
      return isPart.dropFirst().contains(true) || isPart.first == true && register(operands[0]) == nil
    case "xor", "sub":
      return isPart.contains(true) && operands[0] != operands[1]
    default: return isPart.contains(true)
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
    // With a register these take a bit of any word around.
    let isBit =
      instruction.mnemonic.hasSuffix("bts") || instruction.mnemonic.hasSuffix("btr")
      || instruction.mnemonic.hasSuffix("btc")
    if !isBit, let memory = memory(String(first)) { return memory }
    // With an index it may be anywhere in the frame.
    guard first.contains("rsp") || first.contains("rbp") else { return nil }
    return Memory(isByFramePointer: !first.contains("rsp"), displacement: -(1 << 20), bytes: 1 << 30)
  }

  /// "qword ptr [rsp + 0x18]"
  private static func memory(_ text: String) -> Memory? {
    let sizes = ["byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32, "zmmword": 64]
    let parts = text.split(separator: " ", omittingEmptySubsequences: true)
    // What stands between "ptr" and the bracket is a segment.
    guard parts.count >= 3, let bytes = sizes[String(parts[0])], parts[1] == "ptr", parts[2].hasPrefix("["),
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

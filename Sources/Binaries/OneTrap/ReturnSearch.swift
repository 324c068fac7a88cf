/// What is known of the registers: the low 32 bits, where they are constant, and whether the zero flag is set.
struct Constants: Hashable {
  private var registers = [UInt32?](repeating: nil, count: 16)
  private(set) var zeroFlag: Bool?

  mutating func run(_ instruction: Instruction) {
    let operands = instruction.operands.split(separator: ",").map { $0.drop { $0 == " " } }
    let numbers = operands.map { text in
      RegisterSet.partNames.firstIndex { $0.prefix(2).contains(String(text)) }
    }
    func value(_ index: Int) -> UInt32? {
      if let number = numbers[index] { return registers[number] }
      return Self.number(operands[index])
    }
    switch (instruction.mnemonic, operands.count) {
    case ("test", 2) where operands[0] == operands[1]:
      zeroFlag = numbers[0].flatMap { registers[$0] }.map { $0 == 0 }
      return
    case ("cmp", 2):
      zeroFlag = numbers[0] == nil ? nil : value(0).flatMap { a in value(1).map { a == $0 } }
      return
    case ("mov", 2):
      // A part of a register is lost as a whole.
      if let to = numbers[0] {
        registers[to] = value(1)
        return
      }
    case ("xor", 2) where operands[0] == operands[1]:
      if let to = numbers[0] {
        registers[to] = 0
        zeroFlag = true
        return
      }
    case ("and", 2):
      if let to = numbers[0] {
        registers[to] = value(0).flatMap { a in value(1).map { a & $0 } }
        zeroFlag = registers[to].map { $0 == 0 }
        return
      }
    case ("push", _), ("nop", _): return
    case ("lea", 2):
      if let to = numbers[0] {
        registers[to] = nil
        return
      }
    default: break
    }
    let lost: RegisterSet =
      instruction.kind == .call
      ? RegisterSet(rawValue: ~Effect.keptByCalls.rawValue) : Effect.lost(instruction)
    for number in 0..<16 where lost.contains(RegisterSet(rawValue: 1 << UInt16(number))) {
      registers[number] = nil
    }
    zeroFlag = nil
  }

  private static func number(_ text: Substring) -> UInt32? {
    text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
  }
}

/// Tells calls that never return: what stands behind one is no continuation of it, and to take it for one would join
/// ways that have nothing in common. A call is such if no return can be reached in the function, looking through the
/// calls that it makes itself, with the constants that it is given (glibc's message function aborts or returns as
/// its first argument says). In doubt it returns.
struct ReturnSearch {
  private struct Place: Hashable {
    var address: UInt64
    var constants: Constants
  }

  private let code: (UInt64) -> [UInt8]
  private let neverReturns: (UInt64) -> Bool
  private var known: [Place: Bool] = [:]
  /// Instructions that may be looked at in all, so that a large library costs no more than some milliseconds.
  private var budget = 40_000
  private static let deepest = 6
  private static let mostOfOne = 2_000

  init(code: @escaping (UInt64) -> [UInt8], neverReturns: @escaping (UInt64) -> Bool) {
    self.code = code
    self.neverReturns = neverReturns
  }

  mutating func returns(
    _ function: UInt64, _ constants: Constants, _ disassembler: borrowing Disassembler, depth: Int = 0
  ) -> Bool {
    let place = Place(address: function, constants: constants)
    if let known = known[place] { return known }
    if neverReturns(function) { return false }
    guard depth < Self.deepest else { return true }
    // Calls in a circle: what is asked about while being looked at is taken to return.
    known[place] = true
    let result = search(place, disassembler, depth)
    known[place] = result
    return result
  }

  private mutating func search(_ start: Place, _ disassembler: borrowing Disassembler, _ depth: Int) -> Bool {
    var seen: Set<Place> = [start]
    var pending = [start]
    while let place = pending.popLast() {
      budget -= 1
      guard budget > 0, seen.count < Self.mostOfOne,
        let instruction = disassembler.instructions(code(place.address), at: place.address, limit: 1).first
      else { return true }
      var constants = place.constants
      constants.run(instruction)
      var next: [UInt64] = []
      let following = place.address &+ instruction.size
      switch instruction.kind {
      case .return: return true
      case .straight: next = [following]
      case .trap:
        guard instruction.mnemonic == "syscall" || instruction.isDeadly else { return true }
        if !instruction.isDeadly { next = [following] }
      case .conditionalJump:
        guard let target = instruction.branchTarget else { return true }
        let isEqual = ["je", "jne"].contains(instruction.mnemonic) ? place.constants.zeroFlag : nil
        switch isEqual {
        case nil: next = [following, target]
        case let isZero?: next = [isZero == (instruction.mnemonic == "je") ? target : following]
        }
      case .jump:
        guard let target = instruction.branchTarget else { return true }
        if !neverReturns(target) { next = [target] }
      case .call:
        let returns = instruction.branchTarget.map {
          self.returns($0, place.constants, disassembler, depth: depth + 1)
        }
        if returns ?? true { next = [following] }
      }
      for address in next {
        let place = Place(address: address, constants: constants)
        if seen.insert(place).inserted { pending.append(place) }
      }
    }
    return false
  }
}

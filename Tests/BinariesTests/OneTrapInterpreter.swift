import Profile

@testable import Binaries

/// What instructions do to the symbolic values.
extension OneTrapChecker {
  /// The machines that go on; none at the end of a path.
  func step(_ one: Instruction, _ machine: inout Machine, _ fresh: inout Int) throws -> [Machine] {
    let following = one.address &+ one.size
    switch one.kind {
    case .conditionalJump:
      guard let target = one.branchTarget else { throw wrong("a jump to nowhere", machine) }
      var result: [Machine] = []
      for isTaken in [false, true] {
        var way = machine
        if let tested = way.tested, one.mnemonic == "je" || one.mnemonic == "jne" {
          let isZero = isTaken == (one.mnemonic == "je")
          if way.nulls.contains(tested), !isZero { continue }
          if isZero { way.nulls.insert(tested) }
        }
        try hit(&way, isTaken: isTaken)
        if let way = try follow(way, to: isTaken ? target : following, from: one.address) {
          result.append(way)
        }
      }
      return result
    case .jump:
      try hit(&machine, isTaken: nil)
      guard let target = one.branchTarget else { throw wrong("a jump through a pointer", machine) }
      return try follow(machine, to: target, from: one.address).map { [$0] } ?? []
    case .call:
      try hit(&machine, isTaken: nil)
      if deadCalls.contains(one.address) { return [] }
      for number in [0, 1, 2, 6, 7, 8, 9, 10, 11] { machine.registers[number] = .new(&fresh) }
      machine.tested = nil
      if let top = machine.stackPointer { machine.frame = machine.frame.filter { $0.key >= top } }
    case .return, .trap:
      if one.mnemonic != "syscall" { return [] }
      for number in [0, 1, 11] { machine.registers[number] = .new(&fresh) }
    case .straight:
      try hit(&machine, isTaken: nil)
      if one.mnemonic.hasPrefix("cmov") {
        // Moved or not.
        let text = operands(one)
        if let to = wide(text[0]) {
          var kept = machine
          kept.address = following
          machine.registers[to] = read(text[1], machine, &fresh)
          machine.address = following
          return [kept, machine]
        }
      }
      try straight(one, &machine, &fresh)
    }
    machine.address = following
    return [machine]
  }

  private func follow(_ machine: Machine, to target: UInt64, from: UInt64) throws -> Machine? {
    if target != entry, isEntry(target) {
      let argument = call == .alignedAlloc ? 6 : 7
      guard machine.hits.isEmpty, machine.stackPointer == -8, machine.registers[argument] == .size else {
        throw wrong("handed on wrongly", machine)
      }
      return nil
    }
    var machine = machine
    // Each way at most twice, so that loops are run once.
    let key = from &* 31 &+ target
    machine.edges[key, default: 0] += 1
    guard machine.edges[key, default: 0] <= 2 else { return nil }
    machine.address = target
    return machine
  }

  private func operands(_ one: Instruction) -> [String] {
    one.operands.split(separator: ",").map { String($0.drop { $0 == " " }) }
  }

  private static let names = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
  ]
  private static let halves = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"]

  private func wide(_ text: String) -> Int? { Self.names.firstIndex(of: text) }
  private func half(_ text: String) -> Int? {
    Self.halves.firstIndex(of: text) ?? (text.hasSuffix("d") ? wide(String(text.dropLast())) : nil)
  }

  private func number(_ text: String) -> Int? {
    let isNegative = text.hasPrefix("-")
    let digits = isNegative ? String(text.dropFirst()) : text
    let value = digits.hasPrefix("0x") ? Int(digits.dropFirst(2), radix: 16) : Int(digits)
    return value.map { isNegative ? -$0 : $0 }
  }

  /// Where an operand in brackets points to, if into the frame; nil inside if that is not known.
  private func frameAddress(_ text: String, _ machine: Machine) -> Int?? {
    guard let open = text.firstIndex(of: "["), let close = text.firstIndex(of: "]") else { return .none }
    var sum = 0
    var isFrame = false
    var isKnown = true
    var sign = 1
    for part in text[text.index(after: open)..<close].split(separator: " ").map(String.init) {
      if part == "+" || part == "-" {
        sign = part == "-" ? -1 : 1
      } else if let register = wide(part), case .frame(let at) = machine.registers[register] {
        isFrame = true
        sum += at
      } else if let value = number(part) {
        sum += sign * value
      } else {
        isKnown = false
      }
    }
    return isFrame ? .some(isKnown ? sum : nil) : .none
  }

  private func read(_ text: String, _ machine: Machine, _ fresh: inout Int) -> Value {
    if let register = wide(text) { return machine.registers[register] }
    if text == "0" { return .zero }
    if text.hasPrefix("qword ptr ["), let address = frameAddress(text, machine), let address {
      return machine.word(address)
    }
    return .new(&fresh)
  }

  private func store(_ value: Value?, _ text: String, _ machine: inout Machine, _ fresh: inout Int) {
    guard let address = frameAddress(text, machine) else { return }
    guard let address else {
      machine.frame = [:]
      machine.writes += 1
      return
    }
    let sizes = ["byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32]
    let bytes = sizes[String(text.prefix { $0 != " " })] ?? 512
    // Of all words that overlap, whole or not: of an odd address there may be several.
    for at in address - 7..<address + bytes { machine.frame[at] = .new(&fresh) }
    if bytes == 8, let value { machine.frame[address] = value }
  }

  private func straight(_ one: Instruction, _ machine: inout Machine, _ fresh: inout Int) throws {
    let text = operands(one)
    func move(_ bytes: Int) throws {
      guard let at = machine.stackPointer else { throw wrong("rsp is lost", machine) }
      machine.registers[4] = .frame(at + bytes)
    }
    switch (one.mnemonic, text.count) {
    case ("push", 1):
      let value = read(text[0], machine, &fresh)
      try move(-8)
      store(value, "qword ptr [rsp]", &machine, &fresh)
      return
    case ("pop", 1):
      guard let to = wide(text[0]) else { throw wrong("pop \(text[0])", machine) }
      let value = read("qword ptr [rsp]", machine, &fresh)
      try move(8)
      machine.registers[to] = value
      return
    case ("leave", 0):
      machine.registers[4] = machine.registers[5]
      machine.registers[5] = read("qword ptr [rsp]", machine, &fresh)
      try move(8)
      return
    case ("add", 2) where text[0] == "rsp", ("sub", 2) where text[0] == "rsp":
      guard let bytes = number(text[1]) else { throw wrong("rsp moved by \(text[1])", machine) }
      try move(one.mnemonic == "add" ? bytes : -bytes)
      machine.tested = nil
      return
    case ("mov", 2), ("movabs", 2):
      let value = read(text[1], machine, &fresh)
      if let to = wide(text[0]) {
        machine.registers[to] = value
      } else if let to = half(text[0]) {
        machine.registers[to] = text[1] == "0" ? .zero : .new(&fresh)
      } else if let to = RegisterSet.byName[text[0]]?.rawValue.trailingZeroBitCount {
        machine.registers[to] = .new(&fresh)
      } else {
        store(value, text[0], &machine, &fresh)
      }
      return
    case ("lea", 2):
      guard let to = wide(text[0]) else { break }
      if let address = frameAddress(text[1], machine) {
        guard let address else { throw wrong("an unknown address of the frame", machine) }
        machine.registers[to] = .frame(address)
      } else {
        machine.registers[to] = .new(&fresh)
      }
      return
    case ("test", 2):
      machine.tested = text[0] == text[1] ? wide(text[0]).map { machine.registers[$0] } : nil
      return
    case ("cmp", 2):
      machine.tested = text[1] == "0" ? wide(text[0]).map { machine.registers[$0] } : nil
      return
    case ("xor", 2) where text[0] == text[1], ("sub", 2) where text[0] == text[1]:
      machine.tested = nil
      if let to = wide(text[0]) ?? half(text[0]) {
        machine.registers[to] = .zero
        return
      }
    case ("mul", 1):
      let values = Set([machine.registers[0], read(text[0], machine, &fresh)])
      machine.registers[0] = values == [.factor(0), .factor(1)] ? .size : .new(&fresh)
      machine.registers[2] = .new(&fresh)
      machine.tested = nil
      return
    case ("imul", 2):
      guard let to = wide(text[0]) else { break }
      let values = Set([machine.registers[to], read(text[1], machine, &fresh)])
      machine.registers[to] = values == [.factor(0), .factor(1)] ? .size : .new(&fresh)
      machine.tested = nil
      return
    case ("xchg", 2):
      guard let to = wide(text[1]) else { break }
      let value = read(text[0], machine, &fresh)
      if let other = wide(text[0]) {
        machine.registers[other] = machine.registers[to]
      } else {
        store(machine.registers[to], text[0], &machine, &fresh)
      }
      machine.registers[to] = value
      return
    case ("nop", _), ("endbr64", _): return
    default: break
    }
    // Everything else: what it may write has a new value.
    let isJustMove = ["mov", "set", "nop", "endbr", "prefetch", "not", "vmov", "lea"].contains {
      one.mnemonic.hasPrefix($0)
    }
    if !isJustMove { machine.tested = nil }
    if let first = text.first, first.contains("["), !one.mnemonic.hasPrefix("prefetch"), one.mnemonic != "bt"
    {
      store(nil, first, &machine, &fresh)
    }
    var written = one.registersWritten
    if one.mnemonic.contains("cmpxchg") { written.insert(.rax) }
    for number in 0..<16 where written.contains(RegisterSet(rawValue: 1 << UInt16(number))) {
      if number == 4 { throw wrong("`\(one.text)`", machine) }
      machine.registers[number] = .new(&fresh)
    }
  }
}

extension OneTrapChecker.Value {
  static func new(_ count: inout Int) -> Self {
    count += 1
    return .other(count)
  }
}

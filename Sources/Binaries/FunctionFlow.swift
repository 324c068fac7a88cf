/// The ways through a function, as far as they can be read from its code: direct jumps, wherever they lead, and what
/// stands behind calls. A jump to another function is a way out only where that one returns.
struct FunctionFlow {
  /// Addresses of the return instructions.
  private(set) var returns: [UInt64] = []
  /// Of the functions where following was to stop, those that were reached.
  private(set) var reached: Set<UInt64> = []
  /// All ways were followed to their ends: there was no jump through a register or into another file, and no more
  /// code than any such function has.
  private(set) var isComplete = true

  private static let mostInstructions = 4096
  /// Decoding costs more than reading: few bytes at a time, for most runs are short.
  private static let mostBytes = 64

  private let elf: ELFFile
  private let stops: Set<UInt64>
  private let slots: [UInt64: UInt64]

  /// Functions that do not return, so that what stands behind their calls belongs to something else.
  private static let endless: Set<String> = [
    "abort", "__cxa_throw", "__cxa_rethrow", "_Unwind_Resume", "__stack_chk_fail", "_ZSt9terminatev",
    "_ZSt17__throw_bad_allocv", "_ZSt20__throw_system_errori", "__clang_call_terminate",
  ]

  /// Follows the code from the entry of a function.
  /// - Parameters:
  ///   - slots: the file's `symbolsBySlot`, which is the same for all of its functions.
  ///   - stops: entries of other functions at which a way ends, whether they are called or jumped to.
  ///   - untilReturn: one return is enough to know.
  ///   - assumesPointer: the first argument is no null pointer, so the test that many functions begin with fails.
  init(
    of address: UInt64, in elf: ELFFile, slots: [UInt64: UInt64], stoppingAt stops: Set<UInt64> = [],
    assumesPointer: Bool = false, untilReturn: Bool = false
  ) {
    self.elf = elf
    self.slots = slots
    self.stops = stops
    guard let disassembler = Disassembler() else {
      isComplete = false
      return
    }
    var seen: Set<UInt64> = []
    var open = [address]
    while let start = open.popLast(), isComplete, !untilReturn || returns.isEmpty {
      follow(start, from: address, disassembler, assumesPointer, &seen, &open)
    }
    returns.sort()
  }

  /// One run of instructions up to a jump that leaves it.
  private mutating func follow(
    _ start: UInt64, from entry: UInt64, _ disassembler: borrowing Disassembler, _ assumesPointer: Bool,
    _ seen: inout Set<UInt64>, _ open: inout [UInt64]
  ) {
    var previous = ""
    var at = start
    while true {
      guard let code = try? elf.code(at: at, count: Self.mostBytes) else { return isComplete = false }
      let run = disassembler.instructions(code, at: at)
      guard !run.isEmpty else { return isComplete = false }
      for instruction in run {
        // The last bytes may be the beginning of an instruction that the next reading has whole.
        guard seen.insert(instruction.address).inserted else { return }
        guard seen.count <= Self.mostInstructions else { return isComplete = false }
        at = instruction.address &+ instruction.size
        switch instruction.kind {
        case .straight: break
        case .trap:
          if instruction.mnemonic != "syscall" { return }
        case .return:
          returns.append(instruction.address)
          return
        case .jump:
          guard let target = target(of: instruction) else { return isComplete = false }
          if stops.contains(target) { reached.insert(target) } else { open.append(target) }
          return
        case .conditionalJump:
          guard let target = target(of: instruction) else { return isComplete = false }
          let isNullTest = assumesPointer && previous == "test rdi, rdi" && instruction.mnemonic == "je"
          if stops.contains(target) { reached.insert(target) } else if !isNullTest { open.append(target) }
        case .call:
          guard let target = instruction.branchTarget else { break }
          let stub = elf.linked(atStub: target, slots)
          if Self.endless.contains(stub?.name ?? "") { return }
          let function = stub?.address ?? target
          if stops.contains(function) {
            reached.insert(function)
            return
          }
        }
        previous = instruction.text
      }
    }
  }

  /// The function or the place of this file that a jump leads to; nil if it cannot be told, or is another file's.
  private func target(of jump: Instruction) -> UInt64? {
    guard let target = jump.branchTarget else { return nil }
    guard let stub = elf.linked(atStub: target, slots) else { return target }
    return stub.address
  }
}

extension ELFFile {
  /// Virtual addresses of the instructions by which a function returns to its caller, its own and those of functions
  /// that it hands over to by a jump. Nil if there may be others, or if there are more than `limit`.
  public func returns(ofFunctionAt address: UInt64, limit: Int = 16) -> [UInt64]? {
    let flow = FunctionFlow(of: address, in: self, slots: symbolsBySlot())
    guard flow.isComplete, (1...limit).contains(flow.returns.count) else { return nil }
    return flow.returns
  }
}

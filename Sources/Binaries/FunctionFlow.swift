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
  private static let mostBytes = 512

  private let elf: ELFFile
  private let stops: Set<UInt64>
  /// The functions behind the linkage table's stubs, nil for those of other files.
  private var stubs: [UInt64: UInt64?] = [:]
  private var namesOfStubs: [UInt64: String] = [:]

  /// Functions that do not return, so that what stands behind their calls belongs to something else.
  private static let endless: Set<String> = [
    "abort", "__cxa_throw", "__cxa_rethrow", "_Unwind_Resume", "__stack_chk_fail", "_ZSt9terminatev",
    "_ZSt17__throw_bad_allocv", "_ZSt20__throw_system_errori", "__clang_call_terminate",
  ]

  /// Follows the code from the entry of a function.
  /// - Parameters:
  ///   - stops: entries of other functions at which a way ends, whether they are called or jumped to.
  ///   - assumesPointer: the first argument is no null pointer, so the test that many functions begin with fails.
  init(of address: UInt64, in elf: ELFFile, stoppingAt stops: Set<UInt64> = [], assumesPointer: Bool = false) {
    self.elf = elf
    self.stops = stops
    guard let disassembler = Disassembler() else {
      isComplete = false
      return
    }
    var seen: Set<UInt64> = []
    var open = [address]
    while let start = open.popLast() {
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
        case .trap: return
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
          if let target = instruction.branchTarget {
            let function = self.function(at: target)
            if let function, stops.contains(function) {
              reached.insert(function)
              return
            }
            if Self.endless.contains(namesOfStubs[target] ?? "") { return }
          }
        }
        previous = instruction.text
      }
    }
  }

  private mutating func target(of jump: Instruction) -> UInt64? {
    jump.branchTarget.flatMap { function(at: $0) }
  }

  /// What is at an address that code leads to: the function of this file that a stub stands for, or the address
  /// itself. Nil for another file's function.
  private mutating func function(at address: UInt64) -> UInt64? {
    if let known = stubs[address] { return known }
    let name = elf.importedNames(atStubs: [address])[address]
    namesOfStubs[address] = name
    let symbol = name.flatMap { name in (try? elf.symbols(named: [name]))?[name] }
    let function = name == nil ? address : symbol?.address
    stubs.updateValue(function, forKey: address)
    return function
  }
}

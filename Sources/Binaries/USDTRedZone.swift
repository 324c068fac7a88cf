/// Whether a trace point may be overwritten by a call that pushes onto the program's stack.
///
/// Linux 6.18 turns a uprobe on a nop of five bytes into a call, and that stores its return address in the eight
/// bytes below rsp. A leaf function may keep variables there without moving rsp: the 128 bytes of the red zone
/// (System V AMD64 ABI, 3.2.2). So such a nop is taken only where a red zone is out of the question.
///
/// A frame address above rsp + 8 is no proof: a leaf may push a register and still use the red zone, and one with
/// more than 128 bytes of variables lowers rsp by 128 too little. What proves it is a call that the compiler knew
/// of, for gcc and clang give a red zone to no function that calls (a tail call, a jump, does not count). Calls
/// that they did not know of are told by their frame: profiling hooks come before it is set up (the CFA is still
/// rsp + 8), and the calls of inlined retpolines stay inside of the function.
enum USDTRedZone {
  /// More code than any function with a trace point has; a hostile file says what it likes.
  private static let largestFunction: UInt64 = 1 << 20
  private static let largestSection: UInt64 = 256 << 20

  /// Nil if nothing can live below rsp at the instruction at `address`; otherwise why that is not sure.
  static func doubt(at address: UInt64, in elf: ELFFile) -> String? {
    guard let section = elf.section(named: ".eh_frame"), section.size <= largestSection,
      let bytes = try? elf.bytes(at: section.offset, count: Int(section.size)),
      let function = function(around: address, bytes, section.address)
    else { return "the file does not say in which function it stands (.eh_frame)" }
    let length = function.range.upperBound - function.range.lowerBound
    guard length <= largestFunction,
      let code = try? elf.code(at: function.range.lowerBound, count: Int(length)), code.count == Int(length)
    else { return "the code of its function cannot be read" }
    return doubt(at: address, function, code)
  }

  /// A function's rules, each with the address that it begins at, ascending.
  struct Function {
    var range: Range<UInt64>
    var steps: [(address: UInt64, rule: UnwindRule)]

    func rule(at address: UInt64) -> UnwindRule? { steps.last { $0.address <= address }?.rule }
  }

  static func doubt(at address: UInt64, _ function: Function, _ code: [UInt8]) -> String? {
    guard hasFrame(function.rule(at: address)) else { return "its function has not set up a frame there" }
    guard let disassembler = Disassembler() else { return "the disassembler does not start" }
    let instructions = disassembler.instructions(code, at: function.range.lowerBound)
    guard instructions.reduce(0, { $0 + $1.bytes.count }) == code.count,
      instructions.contains(where: { $0.address == address })
    else { return "its function cannot be disassembled" }
    if let low = instructions.first(where: { $0.operands.contains("[rsp - ") }) {
      return "its function uses the memory below rsp (`\(low.text)`)"
    }
    let calls = instructions.contains {
      $0.kind == .call && isProperCall($0, in: function)
    }
    return calls ? nil : "its function calls nothing, so it may keep variables below rsp"
  }

  /// A call that the compiler made: to somewhere else, on a stack that is aligned as the ABI wants it.
  private static func isProperCall(_ call: Instruction, in function: Function) -> Bool {
    if let target = call.branchTarget, function.range.contains(target) { return false }
    return switch function.rule(at: call.address).map({ ($0.cfaKind, $0.cfaOffset) }) {
    case (UnwindRule.CFA.stackPointer.rawValue, let offset)?: offset % 16 == 0
    case (UnwindRule.CFA.framePointer.rawValue, _)?: true
    default: false
    }
  }

  /// Whether the function has moved rsp: more than the return address lies above it.
  private static func hasFrame(_ rule: UnwindRule?) -> Bool {
    switch rule.map({ ($0.cfaKind, $0.cfaOffset) }) {
    case (UnwindRule.CFA.stackPointer.rawValue, 9...)?: true
    // After push rbp; mov rbp, rsp. More may have been pushed before.
    case (UnwindRule.CFA.framePointer.rawValue, 16...)?: true
    default: false
    }
  }

  private static func function(around address: UInt64, _ section: [UInt8], _ at: UInt64) -> Function? {
    section.withUnsafeBytes { bytes in
      var reader = CallFrameReader(.ehFrame, bytes: bytes, address: at, machine: .host)
      var steps: [(address: UInt64, rule: UnwindRule)] = []
      while let range = reader.nextFunction(emit: { steps.append(($0, $1)) }) {
        if range.contains(address) { return Function(range: range, steps: steps) }
        steps.removeAll(keepingCapacity: true)
      }
      return nil
    }
  }
}

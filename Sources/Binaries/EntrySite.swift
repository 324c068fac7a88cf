/// Where in a function a probe sees the call's arguments, and what it costs there.
public enum EntrySite: Sendable, Hashable {
  /// On an instruction that the kernel emulates: about 0.65 µs a hit.
  case emulated(offset: UInt64, instruction: String)
  /// At the entry, where the kernel steps one instruction out of line: right, but about 15 times as dear.
  case singleStepped(instruction: String, why: String)
  /// Not at all.
  case impossible(why: String)

  /// Instructions and bytes searched for an emulated one.
  private static let reach = (instructions: 16, bytes: 64)

  /// Sweeps from the entry to the first emulated instruction. Everything before it must be straight-line code
  /// that leaves the arguments, the stack pointer (the return address must be on top) and the frame pointer
  /// (the caller's, for the stack walk) alone, and nothing in the function may jump back to it, or one call
  /// would be counted twice.
  ///
  /// `code` is the whole function; `argumentCount` of rdi, rsi, rdx must be intact.
  public static func choose(code: [UInt8], address: UInt64, argumentCount: Int) -> EntrySite {
    guard let disassembler = Disassembler() else { return .impossible(why: "no disassembler") }
    let instructions = disassembler.instructions(code, address: address)
    guard let first = instructions.first else { return .impossible(why: "no code at the entry") }
    let arguments: [RegisterSet] = [.rdi, .rsi, .rdx]
    let kept = arguments.prefix(argumentCount).reduce(into: RegisterSet([.rsp, .rbp])) { $0.formUnion($1) }
    let targets = instructions.compactMap { $0.bytes.first == 0xe8 ? nil : $0.branchTarget }

    for instruction in instructions.prefix(reach.instructions) {
      let offset = instruction.address - address
      guard offset < reach.bytes else { break }
      if instruction.isEmulated {
        if targets.contains(where: { $0 >= address && $0 <= instruction.address }) {
          return entry(first, "a jump leads back to or before +0x\(String(offset, radix: 16))")
        }
        return .emulated(offset: offset, instruction: instruction.text)
      }
      if instruction.branchTarget != nil || instruction.leavesStraightLine {
        return entry(first, "control flow leaves before any emulated instruction")
      }
      let lost = instruction.writes.intersection(kept)
      if !lost.isEmpty {
        return entry(first, "\(instruction.text) at +0x\(String(offset, radix: 16)) changes what the probe needs")
      }
    }
    return entry(first, "no emulated instruction near the entry")
  }

  /// The entry itself, unless even that cannot be probed: the kernel refuses a segment-override nop.
  private static func entry(_ first: Instruction, _ why: String) -> EntrySite {
    if first.bytes.first == 0x2e { return .impossible(why: "the kernel cannot probe \(first.text)") }
    return .singleStepped(instruction: first.text, why: why)
  }
}

extension Instruction {
  /// Returns, indirect jumps and calls, traps.
  fileprivate var leavesStraightLine: Bool {
    switch bytes.first {
    case 0xc2, 0xc3, 0xcb, 0xcc, 0xf4: true
    case 0xff: bytes.count > 1 && [2, 4].contains(bytes[1] >> 3 & 7)
    case 0xf3, 0xf2: bytes.count > 1 && [0xc3, 0xff].contains(bytes[1])
    case 0x0f: bytes.count > 1 && bytes[1] == 0x0b
    case 0x41: bytes.count > 2 && bytes[1] == 0xff && [2, 4].contains(bytes[2] >> 3 & 7)
    default: false
    }
  }
}

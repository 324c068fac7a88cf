/// Where in a function its calls are best probed, and why.
///
/// The best place is the first instruction that the kernel emulates, which is some 15 times cheaper than one
/// that it must single-step. Until there nothing may have moved: the return address is still at [rsp], the
/// arguments are in their registers, the caller's frame pointer is in rbp, and every call comes by exactly once.
public enum EntrySite: Sendable, Hashable {
  /// An emulated instruction, so many bytes into the function.
  case emulated(offset: UInt64, instruction: String)
  /// No emulated instruction will do: a slow site, and why in words.
  case singleStepped(offset: UInt64, instruction: String, why: String)
  /// The kernel would refuse every site that is correct.
  case unprobeable(why: String)

  private static let farthest: UInt64 = 64
  private static let mostInstructions = 16

  /// Chooses the site of a function from its code.
  /// - Parameters:
  ///   - code: the whole function, as far as its size is known: jumps back to the site are searched in it.
  ///   - address: the virtual address of its first byte.
  ///   - argumentCount: how many of rdi, rsi, rdx must be intact.
  public static func choose(code: [UInt8], address: UInt64, argumentCount: Int) -> EntrySite {
    guard let disassembler = Disassembler() else {
      return .unprobeable(why: "the disassembler does not start")
    }
    // 15 bytes is the longest instruction.
    let start = disassembler.instructions(
      Array(code.prefix(Int(farthest) + 15)), at: address, limit: mostInstructions)
    guard !start.isEmpty else { return .unprobeable(why: "there is no code at the symbol") }

    switch sweep(start, from: address, keeping: RegisterSet.arguments(argumentCount)) {
    case .found(let site):
      let back = disassembler.directTargets(code, at: address).first { $0 > address && $0 <= site.address }
      guard let back else { return .emulated(offset: site.address &- address, instruction: site.text) }
      return atEntry(
        start, address,
        "a jump leads back to \(offset(back, address)), so the emulated `\(site.text)` at "
          + "\(offset(site.address, address)) can run more than once a call")
    case .stopped(let why):
      return atEntry(start, address, why)
    }
  }

  private enum Sweep {
    case found(Instruction)
    case stopped(String)
  }

  private static func sweep(_ start: [Instruction], from address: UInt64, keeping arguments: RegisterSet)
    -> Sweep
  {
    for instruction in start {
      let place = "`\(instruction.text)` at \(offset(instruction.address, address))"
      guard instruction.address &- address <= farthest else { break }
      if instruction.isEmulatedByKernel { return .found(instruction) }
      if instruction.kind != .straight {
        return .stopped("\(place) leaves the straight line before the first emulated instruction")
      }
      let written = instruction.registersWritten
      if !written.isDisjoint(with: [.rsp, .rbp]) {
        return .stopped("\(place) changes the stack frame before the first emulated instruction")
      }
      if !written.isDisjoint(with: arguments) {
        return .stopped("\(place) overwrites an argument before the first emulated instruction")
      }
    }
    return .stopped("no instruction that the kernel emulates stands in the first \(farthest) bytes")
  }

  /// The slow site: the entry itself, or what follows the nops there. A nop of several bytes is never taken, see
  /// `Instruction.isEmulatedByKernel`; behind it nothing has changed.
  private static func atEntry(_ start: [Instruction], _ address: UInt64, _ why: String) -> EntrySite {
    guard let first = start.first(where: { !$0.isLongNop }) else {
      return .unprobeable(why: "there are only nops at the symbol")
    }
    guard !first.isRefusedByKernel else {
      return .unprobeable(why: "\(why), and the kernel takes no probe on `\(first.text)`")
    }
    return .singleStepped(offset: first.address &- address, instruction: first.text, why: why)
  }

  private static func offset(_ target: UInt64, _ address: UInt64) -> String {
    "+0x" + String(target &- address, radix: 16)
  }
}

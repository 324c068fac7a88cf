/// One place where a program fires a USDT probe, checked: its instruction takes a uprobe without harm.
public struct USDTSite: Sendable, Hashable {
  public var note: USDTNote
  public var arguments: [USDTArgument]
  /// Offset in the file of the instruction in bytes, as the kernel wants it.
  public var fileOffset: UInt64
  /// Offset in the file of the semaphore, a 16-bit counter, in bytes: the kernel's ref_ctr_offset. It counts the
  /// semaphore up while the probe is attached. Nil if there is none.
  public var semaphoreOffset: UInt64?
  /// The instruction in Intel syntax; a nop, as a rule.
  public var instruction: String
  /// Whether every kernel emulates the instruction; if not, a hit may cost about 15 times as much.
  public var isEmulated: Bool

  /// Why a trace point cannot be used, in words that follow its address.
  public struct Refusal: Error, Sendable, Hashable {
    public var why: String

    public init(why: String) { self.why = why }
  }

  public init(
    note: USDTNote, arguments: [USDTArgument], fileOffset: UInt64, semaphoreOffset: UInt64?,
    instruction: String, isEmulated: Bool
  ) {
    self.note = note
    self.arguments = arguments
    self.fileOffset = fileOffset
    self.semaphoreOffset = semaphoreOffset
    self.instruction = instruction
    self.isEmulated = isEmulated
  }

  /// Checks a trace point of a file.
  public init(_ note: USDTNote, in elf: ELFFile) throws(Refusal) {
    do throws(USDTArgument.Unsupported) { arguments = try USDTArgument.parse(note.arguments) } catch {
      throw Refusal(why: error.description)
    }
    // 15 bytes is the longest instruction.
    guard let code = try? elf.code(at: note.address, count: 15),
      let offset = elf.fileOffset(ofAddress: note.address)
    else { throw Refusal(why: "there is no code") }
    guard let disassembler = Disassembler(),
      let instruction = disassembler.instructions(code, at: note.address, limit: 1).first
    else { throw Refusal(why: "there is no instruction") }
    guard !instruction.isRefusedByKernel else {
      throw Refusal(why: "the kernel takes no probe on `\(instruction.text)`")
    }
    if instruction.isLongNop, instruction.bytes.count == 5,
      let doubt = USDTRedZone.doubt(at: note.address, in: elf)
    {
      throw Refusal(
        why: "its 5-byte nop would become a call that overwrites what lies below rsp, and \(doubt)")
    }
    self.note = note
    fileOffset = offset
    semaphoreOffset = try note.semaphore.map { address throws(Refusal) in try Self.semaphore(address, in: elf)
    }
    self.instruction = instruction.text
    isEmulated = instruction.isEmulatedByKernel
  }

  /// The kernel writes the counter through the target's own mapping of the file, so it must be in the file (not
  /// in .bss), at an even offset, and not among code.
  private static func semaphore(_ address: UInt64, in elf: ELFFile) throws(Refusal) -> UInt64 {
    guard let offset = elf.fileOffset(ofAddress: address), elf.fileOffset(ofAddress: address &+ 1) != nil,
      offset % 2 == 0,
      !elf.segments.contains(where: {
        $0.isExecutable && address >= $0.address && address - $0.address < $0.fileSize
      })
    else { throw Refusal(why: "its semaphore is not among the data of the file") }
    return offset
  }
}

/// Where a value stands while an instruction is about to be executed.
public enum Place: Sendable, Hashable {
  /// A general register by its x86-64 number: rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi 6, rdi 7, r8 to r15.
  case register(Int)
  /// A word of the stack, in bytes above rsp.
  case stack(Int)
}

/// The way out of a conditional jump that a site is about.
public struct Edge: Sendable, Hashable {
  /// The condition, as the low four bits of the jump's opcode (Intel SDM volume 2, appendix B: 4 is "equal").
  public var condition: UInt8
  /// Whether the edge is the jump (true) or the fall through.
  public var isTaken: Bool

  public init(condition: UInt8, isTaken: Bool) {
    self.condition = condition
    self.isTaken = isTaken
  }
}

/// An instruction inside of an allocation function, emulated by the kernel, where one trap tells what entry and
/// return would tell in two.
public struct OneTrapSite: Sendable, Hashable {
  public enum Role: UInt8, Sendable, Hashable, CaseIterable {
    /// Like `settle`, at a return instruction that other calls come by as well: if no `remember` of this very call
    /// has kept a size, the hit means nothing.
    case leave = 0
    /// Result and requested size are both known here: the call is recorded.
    case record = 1
    /// The size is known, the result not yet: it is kept for a `settle` site of the same call.
    case remember = 2
    /// The result is known and the size no more: it is what `remember` has kept.
    case settle = 3
  }

  public var role: Role
  /// Bytes from the function's entry to the instruction.
  public var offset: UInt64
  /// The instruction in Intel syntax.
  public var instruction: String
  /// The edge for which the places hold; nil if they hold however the instruction goes on. On the other edge the
  /// hit means nothing.
  public var edge: Edge?
  /// Where the function's final result stands; nil for `remember`.
  public var result: Place?
  /// Where the requested size in bytes stands (for calloc the product); nil for `settle`.
  public var size: Place?
  /// Bytes from rsp to the canonical frame address (the stack pointer after the return): the return address stands
  /// 8 below it.
  public var frameBytes: Int
  /// Where the caller's rbp stands.
  public var callerFramePointer: Place

  public init(
    role: Role, offset: UInt64, instruction: String, edge: Edge?, result: Place?, size: Place?,
    frameBytes: Int,
    callerFramePointer: Place
  ) {
    self.role = role
    self.offset = offset
    self.instruction = instruction
    self.edge = edge
    self.result = result
    self.size = size
    self.frameBytes = frameBytes
    self.callerFramePointer = callerFramePointer
  }
}

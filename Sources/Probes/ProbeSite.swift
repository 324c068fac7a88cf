public import Profile

/// One place to put a probe.
public struct ProbeSite: Sendable, Hashable {
  public var call: AllocatorCall
  /// All names of the function, the plainest first.
  public var names: [String]
  /// The function's virtual address in the file.
  public var functionAddress: UInt64
  /// Offset of the probed instruction in the file in bytes, as the kernel wants it.
  public var fileOffset: UInt64
  /// Bytes from the function's entry to the probed instruction.
  public var offsetInFunction: UInt64
  /// The probed instruction in Intel syntax.
  public var instruction: String
  /// Whether the kernel emulates the instruction; if not, a hit costs about 15 times as much.
  public var isEmulated: Bool
  /// Why it is not; empty if it is.
  public var reason: String

  public init(
    call: AllocatorCall, names: [String], functionAddress: UInt64, fileOffset: UInt64,
    offsetInFunction: UInt64,
    instruction: String, isEmulated: Bool, reason: String
  ) {
    self.call = call
    self.names = names
    self.functionAddress = functionAddress
    self.fileOffset = fileOffset
    self.offsetInFunction = offsetInFunction
    self.instruction = instruction
    self.isEmulated = isEmulated
    self.reason = reason
  }

  /// Whether the call's return is watched too: a free is complete when it is entered.
  public var needsReturn: Bool { call != .free }
}

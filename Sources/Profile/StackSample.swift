/// One stack for the self-check: where its walk began, what the walk gave, and the bytes that it could read.
public struct StackSample: Sendable, Hashable {
  /// The number of its process, see `TracedProcess`.
  public var process: Int
  /// The state in which the walk began: return address, canonical frame address and frame pointer in the caller of
  /// the allocation function.
  public var pc: UInt64
  public var sp: UInt64
  public var fp: UInt64
  /// rbx and r12 to r15 of that caller, where they were at hand.
  public var saved: [UInt64]?
  /// The frames of the walk, innermost first; nil if a remembered walk spared this one.
  public var walked: [UInt64]?
  /// The frames that are shown for it: those of its site. Empty if it found no room in the site table.
  public var stored: [UInt64]
  /// How the walk ended.
  public var end: StackEnd
  /// How often the dynamic linker of the process had told of changes by then.
  public var change: UInt32
  /// Whether it has told of more since, so that what is mapped now says nothing about this stack.
  public var isOutdated = false
  /// A copy of the stack from this address on.
  public var base: UInt64
  public var bytes: [UInt8]

  public init(
    process: Int, pc: UInt64, sp: UInt64, fp: UInt64, saved: [UInt64]? = nil, walked: [UInt64]? = nil,
    stored: [UInt64], end: StackEnd, change: UInt32 = 0, base: UInt64, bytes: [UInt8]
  ) {
    self.process = process
    self.pc = pc
    self.sp = sp
    self.fp = fp
    self.saved = saved
    self.walked = walked
    self.stored = stored
    self.end = end
    self.change = change
    self.base = base
    self.bytes = bytes
  }
}

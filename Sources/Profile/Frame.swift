/// One frame of a call stack, as far as it could be named. Innermost frames come first in a stack;
/// functions inlined into a frame come before it and carry `inlined`.
public struct Frame: Sendable, Hashable {
  /// The return address in the target's memory; the call itself is one byte or more before it.
  public var address: UInt64
  /// The demangled function name, or nil if no symbol covers the address.
  public var function: String?
  /// The path of the mapped file as the target sees it, or nil for anonymous memory.
  public var module: String?
  /// The file's GNU build id in lower-case hex, if it has one.
  public var buildID: String?
  /// The address as an offset into the module (a virtual address of the ELF file), or the address
  /// itself outside of all modules.
  public var offset: UInt64
  /// Source file and line of the call, from debug information.
  public var file: String?
  public var line: Int?
  /// True for a call that the compiler inlined into the next frame.
  public var inlined: Bool

  public init(
    address: UInt64, function: String? = nil, module: String? = nil, buildID: String? = nil,
    offset: UInt64? = nil, file: String? = nil, line: Int? = nil, inlined: Bool = false
  ) {
    self.address = address
    self.function = function
    self.module = module
    self.buildID = buildID
    self.offset = offset ?? address
    self.file = file
    self.line = line
    self.inlined = inlined
  }
}

/// Why a stack walk ended.
public enum StackEnd: String, Sendable, Hashable, CaseIterable {
  /// The walk came to the bottom of the stack.
  case complete
  /// The stack was deeper than the depth limit.
  case truncated
  /// A word of the stack could not be read.
  case unreadable
  /// Nothing was left to follow: the frame pointer did not lead on.
  case broken
  /// Code whose mapping, or whose table, was not known yet when the walk came to it: a library that had just been
  /// loaded.
  case unmapped
  /// The stack was not stored because a table was full.
  case missing
}

/// The raw call stack of a site: return addresses, innermost first.
public struct CallStack: Sendable, Hashable {
  public var addresses: [UInt64]
  public var end: StackEnd

  public init(addresses: [UInt64], end: StackEnd) {
    self.addresses = addresses
    self.end = end
  }
}

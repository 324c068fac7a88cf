/// How to get from a frame to its caller, for a range of code. The kinds and their meaning are part of the ABI
/// with the BPF programs (bpf/include/abi.h, `drip_rule`).
///
/// "Stack pointer" and "frame pointer" are rsp and rbp on x86-64, sp and x29 on arm64.
public struct UnwindRule: Hashable, Sendable {
  /// What the canonical frame address (CFA) is made of.
  public enum CFA: UInt8, Sendable {
    /// No call frame information: follow the frame pointer.
    case none = 0
    /// Stack pointer + offset.
    case stackPointer = 1
    /// Frame pointer + offset.
    case framePointer = 2
    /// A PLT stub of x86-64: rsp + 8, and 8 more from the offset in its 16 bytes on.
    case plt = 3
    /// *(frame pointer + low half) + high half, both signed 16-bit.
    case dereferencedFP = 4
    case dereferencedSP = 5
    /// The kernel's rt_sigframe.
    case signal = 6
    /// The return address is undefined: the outermost frame.
    case stop = 7
    case unsupported = 8
  }

  /// Where the caller's frame pointer is.
  public enum FramePointer: UInt8, Sendable {
    case same = 0
    /// Saved at CFA + offset.
    case atCFA = 1
    /// Saved at frame pointer + offset.
    case atFP = 2
    case undefined = 3
    /// Saved at stack pointer + offset.
    case atSP = 4
  }

  /// Where the return address is.
  public enum ReturnAddress: UInt8, Sendable {
    /// At CFA - 8, always so on x86-64.
    case belowCFA = 0
    /// In the link register: the function has not saved it, or has restored it.
    case inRegister = 1
    /// At CFA + fpOffset + 8: saved together with the frame pointer, as arm64's frame records are.
    case aboveFP = 2
    /// At CFA + fpOffset, where the frame pointer is still the caller's.
    case atCFA = 3
  }

  /// CFA, and where the return address is in the upper half.
  public var cfaKind: UInt8
  public var fpKind: UInt8
  /// In bytes.
  public var fpOffset: Int16
  /// In bytes; for dereferences two halves.
  public var cfaOffset: Int32

  init(
    _ cfa: CFA, offset: Int32 = 0, framePointer: FramePointer = .same, fpOffset: Int16 = 0,
    returnAddress: ReturnAddress = .belowCFA
  ) {
    cfaKind = cfa.rawValue | returnAddress.rawValue << 4
    fpKind = framePointer.rawValue
    self.fpOffset = fpOffset
    cfaOffset = offset
  }

  /// Whether call frame information says more than a walk can follow.
  public var isUnsupported: Bool { cfaKind == CFA.unsupported.rawValue }
}

/// Rows of 64 KiB of text: a range of `UnwindTable.rows`.
public struct UnwindPage: Hashable, Sendable {
  public var first: UInt32
  public var count: UInt32
}

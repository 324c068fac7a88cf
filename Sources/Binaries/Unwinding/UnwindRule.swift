/// How to get from a frame to its caller, for a range of code. The kinds and their meaning are part of the ABI
/// with the BPF programs (bpf/include/abi.h, `drip_rule`).
public struct UnwindRule: Hashable, Sendable {
  public enum CFA: UInt8, Sendable {
    /// No call frame information: follow the frame pointer.
    case none = 0
    /// rsp + offset
    case rsp = 1
    /// rbp + offset
    case rbp = 2
    /// A PLT stub: rsp + 8, and 8 more from the offset in its 16 bytes on.
    case plt = 3
    /// *(rbp + low half) + high half, both signed 16-bit.
    case dereferencedRBP = 4
    case dereferencedRSP = 5
    /// The kernel's rt_sigframe.
    case signal = 6
    /// The return address is undefined: the outermost frame.
    case stop = 7
    case unsupported = 8
  }

  public enum FramePointer: UInt8, Sendable {
    case same = 0
    /// Saved at CFA + offset.
    case atCFA = 1
    /// Saved at rbp + offset.
    case atRBP = 2
    case undefined = 3
    /// Saved at rsp + offset.
    case atRSP = 4
  }

  public var cfaKind: UInt8
  public var fpKind: UInt8
  public var fpOffset: Int16
  public var cfaOffset: Int32

  init(_ cfa: CFA, offset: Int32 = 0, framePointer: FramePointer = .same, fpOffset: Int16 = 0) {
    cfaKind = cfa.rawValue
    fpKind = framePointer.rawValue
    self.fpOffset = fpOffset
    cfaOffset = offset
  }
}

/// Rows of 64 KiB of text: a range of `UnwindTable.rows`.
public struct UnwindPage: Hashable, Sendable {
  public var first: UInt32
  public var count: UInt32
}

/// A processor whose programs drip reads. The raw value is e_machine of its ELF files (gABI 4.1).
public enum Machine: UInt16, Sendable, Hashable, CaseIterable {
  case x86_64 = 62
  case arm64 = 183

  /// The one that drip runs on, and so its targets.
  public static let host: Machine = {
    #if arch(arm64)
      .arm64
    #else
      .x86_64
    #endif
  }()

  /// As people call it.
  public var name: String {
    switch self {
    case .x86_64: "x86-64"
    case .arm64: "arm64"
    }
  }
}

/// DWARF's numbers of the registers that a walk knows: System V ABI for AMD64, figure 3.36; DWARF for the Arm 64-bit
/// Architecture, section 4.1.
extension Machine {
  var stackPointer: UInt64 { self == .x86_64 ? 7 : 31 }
  var framePointer: UInt64 { self == .x86_64 ? 6 : 29 }
  /// x86-64 has a number for the return address; arm64 takes the link register, x30.
  var returnAddress: UInt64 { self == .x86_64 ? 16 : 30 }
}

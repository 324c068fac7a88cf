/// Why a report could not be made.
public enum ReportError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The profile is larger than the format can hold.
  case tooLarge
  /// zlib gave up with this code; there is no cause for it but a lack of memory.
  case compression(code: Int32)

  /// The error in plain words.
  public var description: String {
    switch self {
    case .tooLarge: "the profile is too large for this format; show fewer call sites (-n)"
    case .compression(let code): "the profile could not be compressed (zlib code \(code))"
    }
  }
}

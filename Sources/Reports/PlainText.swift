/// Names are chosen by the target. Whoever made the profile has cleaned them already; a profile from elsewhere must
/// not steer a terminal or break a line-oriented format either, so the text formats clean once more.
enum PlainText {
  /// The text with every control character and line separator replaced by "?".
  static func clean(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isHarmful) else { return text }
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { scalars.append(isHarmful(scalar) ? "?" : scalar) }
    return String(scalars)
  }

  /// At most `width` characters; a cut is marked. Nil means no limit.
  static func clip(_ text: String, to width: Int?) -> String {
    guard let width, text.count > max(width, 1) else { return text }
    return text.prefix(max(width, 1) - 1) + "…"
  }

  private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0: true  // C0, DEL and C1 controls
    case 0x2028...0x202e, 0x2066...0x2069: true  // line separators, and what reorders a line
    default: false
    }
  }
}

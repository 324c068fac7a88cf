/// A name that a process chose, made safe to print: control characters, which could drive a terminal, become
/// question marks.
public func displayable(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    let isControl = scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value)
    result.append(isControl ? "?" : scalar)
  }
  return String(result)
}

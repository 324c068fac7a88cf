/// Names in which * stands for anything.
public enum NamePattern {
  /// Whether the whole name fits the pattern.
  public static func matches(_ name: String, _ pattern: String) -> Bool {
    fits(Array(name.utf8)[...], Array(pattern.utf8)[...])
  }

  private static func fits(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
    guard let first = pattern.first else { return name.isEmpty }
    guard first == UInt8(ascii: "*") else {
      return name.first == first && fits(name.dropFirst(), pattern.dropFirst())
    }
    return (name.startIndex...name.endIndex).contains { fits(name[$0...], pattern.dropFirst()) }
  }
}

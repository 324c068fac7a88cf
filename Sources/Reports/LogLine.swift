import Profile

/// One event on one line, as `key=value` pairs that journald, Loki and people can read. Values that could be taken for
/// something else are quoted, with the escapes of JSON; control characters never come out raw.
public struct LogLine: Sendable {
  private var text: String

  /// `unixMilliseconds`: when it happened.
  public init(_ event: String, unixMilliseconds: Int64) {
    let time = Timestamp.rfc3339(
      unixNanoseconds: unixMilliseconds.multipliedReportingOverflow(by: 1_000_000).0)
    text = "time=\(time) event=\(event)"
  }

  public mutating func add(_ key: String, _ value: String) {
    let isPlain = !value.isEmpty && value.unicodeScalars.allSatisfy { Self.isPlain($0) }
    if isPlain {
      text += " \(key)=\(value)"
    } else {
      text += " \(key)="
      JSONValue.string(PlainText.clean(value)).write(to: &text)
    }
  }

  public mutating func add(_ key: String, _ value: UInt64) { text += " \(key)=\(value)" }
  public mutating func add(_ key: String, _ value: Int32) { text += " \(key)=\(value)" }

  /// With so many decimals.
  public mutating func add(_ key: String, _ value: Double, decimals: Int) {
    text += " \(key)=" + (value.isFinite ? Quantities.fixed(value, decimals: decimals) : "unknown")
  }

  /// The line, without a newline.
  public var line: String { text }

  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "/", ".", "-", "_", ":", "@", "+", ",", "%": true
    default: false
    }
  }
}

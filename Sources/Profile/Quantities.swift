/// Sizes, counts, rates and ages as drip prints them everywhere.
public enum Quantities {
  /// Bytes with a binary unit: "512 B", "1.25 MiB".
  public static func bytes(_ value: UInt64) -> String {
    guard value >= 1024 else { return "\(value) B" }
    return scaled(Double(value))
  }

  /// A change of bytes per second, with its sign: "+1.2 KiB/s", "0 B/s".
  public static func rate(_ bytesPerSecond: Double) -> String {
    guard bytesPerSecond.isFinite else { return "?" }
    let magnitude = bytesPerSecond.magnitude
    guard magnitude >= 0.5 else { return "0 B/s" }
    let sign = bytesPerSecond < 0 ? "-" : "+"
    return sign + (magnitude < 1024 ? "\(Int(magnitude.rounded())) B" : scaled(magnitude)) + "/s"
  }

  /// A count with thousands separators: "1,234,567".
  public static func count(_ value: UInt64) -> String {
    var digits = String(value)[...]
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.insert(digits.suffix(3), at: 0)
      digits = digits.dropLast(3)
    }
    return ([digits] + groups).joined(separator: ",")
  }

  /// A time span: "850 ms", "9.8 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
  public static func age(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
    if seconds < 1 { return "\(Int((seconds * 1000).rounded(.down))) ms" }
    if seconds < 60 { return fixed(seconds, decimals: 1) + " s" }
    let whole = Int(seconds)
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    if whole < 86_400 { return "\(whole / 3600) h \(whole / 60 % 60) min" }
    return "\(whole / 86_400) d \(whole / 3600 % 24) h"
  }

  /// A share of a whole: "62.3 %"; "-" of nothing.
  public static func percent(_ part: UInt64, of whole: UInt64) -> String {
    whole == 0 ? "-" : fixed(Double(part) / Double(whole) * 100, decimals: 1) + " %"
  }

  /// A number with so many decimals, rounded half away from zero. No Foundation, no locale.
  public static func fixed(_ value: Double, decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let rounded = (value.magnitude * scale).rounded()
    guard rounded < 9e18 else { return "\(value)" }
    let whole = UInt64(rounded) / UInt64(scale)
    let fraction = String(UInt64(rounded) % UInt64(scale))
    let sign = value < 0 && rounded > 0 ? "-" : ""
    guard decimals > 0 else { return sign + String(whole) }
    return sign + "\(whole)." + String(repeating: "0", count: decimals - fraction.count) + fraction
  }

  private static func scaled(_ value: Double) -> String {
    var rest = value / 1024
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var unit = 0
    // 1023.96 KiB would round to "1024.0 KiB".
    while rest >= 1023.95, unit < units.count - 1 {
      rest /= 1024
      unit += 1
    }
    return fixed(rest, decimals: rest < 10 ? 2 : 1) + " " + units[unit]
  }
}

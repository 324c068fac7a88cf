/// Dates without Foundation.
public enum Timestamp {
  /// RFC 3339 in UTC with milliseconds. Days to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date
  /// Algorithms", days_from_civil and its inverse.
  public static func rfc3339(unixNanoseconds: Int64) -> String {
    func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a / b - (a % b < 0 ? 1 : 0) }
    let milliseconds = floorDivide(unixNanoseconds, 1_000_000)
    let seconds = floorDivide(milliseconds, 1000)
    let days = floorDivide(seconds, 86_400)
    let ofDay = seconds - days * 86_400
    let z = days + 719_468
    let era = floorDivide(z, 146_097)
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    func three(_ value: Int64) -> String {
      value < 10 ? "00\(value)" : value < 100 ? "0\(value)" : "\(value)"
    }
    return
      "\(year)-\(two(month))-\(two(day))T\(two(ofDay / 3600)):\(two(ofDay / 60 % 60)):\(two(ofDay % 60)).\(three(milliseconds - seconds * 1000))Z"
  }
}

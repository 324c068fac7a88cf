import DetectionLab

/// Lines of a Markdown document.
struct Markdown {
  private(set) var text = ""

  mutating func heading(_ level: Int, _ title: String) {
    text += "\(String(repeating: "#", count: level)) \(title)\n\n"
  }

  mutating func paragraph(_ sentence: String) { text += sentence + "\n\n" }

  mutating func table(_ head: [String], _ rows: [[String]]) {
    guard !rows.isEmpty else { return paragraph("None.") }
    text += line(head) + line(head.indices.map { $0 == 0 ? "---" : "--:" })
    for row in rows { text += line(row) }
    text += "\n"
  }

  private func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |\n" }
}

/// Numbers in two or three digits, without the C library's ways.
enum Figure {
  /// "0.93", and "–" of nothing.
  static func share(_ proportion: Proportion) -> String { proportion.value.map { decimal($0, 2) } ?? "–" }

  /// "0.93 (0.90–0.95) of 211", the Wilson interval in the parentheses.
  static func full(_ proportion: Proportion) -> String {
    guard proportion.of > 0 else { return "–" }
    let interval = proportion.interval
    return
      "\(share(proportion)) (\(decimal(interval.lowerBound, 2))–\(decimal(interval.upperBound, 2))) of \(proportion.of)"
  }

  static func decimal(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int((value.magnitude * scale).rounded())
    let sign = value < 0 && whole > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(whole)" }
    let fraction = String(whole % Int(scale))
    return "\(sign)\(whole / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}

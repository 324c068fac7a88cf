/// A JSON value that keeps its keys in order and its integers whole, which a general encoder does not promise.
indirect enum JSONValue {
  case null
  case bool(Bool)
  case integer(UInt64)
  case signed(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([(String, JSONValue)])

  static func optional(_ text: String?) -> JSONValue { text.map(JSONValue.string) ?? .null }
  static func optional(_ number: Double?) -> JSONValue { number.map(JSONValue.number) ?? .null }

  /// Pretty text: two spaces an indent, scalars-only objects on one line.
  func write(to text: inout String, indent: Int = 0) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .signed(let value): text += String(value)
    // JSON has no infinity and no NaN.
    case .number(let value): text += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.write(value, to: &text)
    case .array(let values):
      Self.list("[", "]", values.isEmpty, indent, &text, count: values.count, isFlat: false) { index, text in
        values[index].write(to: &text, indent: indent + 1)
      }
    case .object(let members):
      let isFlat = members.allSatisfy { $0.1.isScalar }
      Self.list("{", "}", members.isEmpty, indent, &text, count: members.count, isFlat: isFlat && indent > 1)
      {
        index, text in
        Self.write(members[index].0, to: &text)
        text += ": "
        members[index].1.write(to: &text, indent: indent + 1)
      }
    }
  }

  private var isScalar: Bool {
    switch self {
    case .array, .object: false
    default: true
    }
  }

  private static func list(
    _ open: String, _ close: String, _ isEmpty: Bool, _ indent: Int, _ text: inout String, count: Int,
    isFlat: Bool,
    _ element: (Int, inout String) -> Void
  ) {
    text += open
    let inner = isFlat ? "" : "\n" + String(repeating: "  ", count: indent + 1)
    for index in 0..<count {
      if index > 0 { text += isFlat ? ", " : "," }
      text += inner
      element(index, &text)
    }
    if !isEmpty, !isFlat { text += "\n" + String(repeating: "  ", count: indent) }
    text += close
  }

  /// RFC 8259 section 7; everything that is not plain is escaped.
  private static func write(_ value: String, to text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      default:
        if scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) {
          let digits = String(scalar.value, radix: 16)
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          text.unicodeScalars.append(scalar)
        }
      }
    }
    text += "\""
  }
}

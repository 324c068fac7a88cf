/// Types and constants.
extension RustV0Demangler {
  private static let basicTypes: [Unicode.Scalar: String] = [
    "b": "bool", "c": "char", "e": "str", "u": "()", "a": "i8", "s": "i16", "l": "i32", "x": "i64",
    "n": "i128", "i": "isize", "h": "u8", "t": "u16", "m": "u32", "y": "u64", "o": "u128", "j": "usize",
    "f": "f32", "d": "f64", "z": "!", "p": "_", "v": "...",
  ]

  mutating func type() throws(Invalid) {
    try nested { (me) throws(Invalid) in try me.typeBody() }
  }

  private mutating func typeBody() throws(Invalid) {
    let tag = try next()
    if let basic = Self.basicTypes[tag] { return try write(basic) }
    switch tag {
    case "R", "Q":
      try write("&")
      if eat("L") {
        let index = try base62()
        if index > 0 {
          try lifetime(index)
          try write(" ")
        }
      }
      if tag == "Q" { try write("mut ") }
      try type()
    case "P", "O":
      try write(tag == "P" ? "*const " : "*mut ")
      try type()
    case "A", "S":
      try write("[")
      try type()
      if tag == "A" {
        try write("; ")
        try constant(inValue: true)
      }
      try write("]")
    case "T":
      try write("(")
      let count = try list { (me) throws(Invalid) in try me.type() }
      try write(count == 1 ? ",)" : ")")
    case "F":
      try binder { (me) throws(Invalid) in try me.function() }
    case "D":
      try write("dyn ")
      try binder { (me) throws(Invalid) in
        try me.list(separator: " + ") { (me) throws(Invalid) in try me.boundTrait() }
      }
      guard eat("L") else { throw Invalid() }
      let index = try base62()
      if index > 0 {
        try write(" + ")
        try lifetime(index)
      }
    case "B":
      try backReference { (me) throws(Invalid) in try me.type() }
    default:
      position -= 1
      try path(inValue: false)
    }
  }

  private mutating func function() throws(Invalid) {
    if eat("U") { try write("unsafe ") }
    if eat("K") {
      let abi = eat("C") ? "C" : try identifier()
      try write("extern \"" + String(abi.map { $0 == "_" ? "-" : $0 }) + "\" ")
    }
    try write("fn(")
    try list { (me) throws(Invalid) in try me.type() }
    try write(")")
    if eat("u") { return }
    try write(" -> ")
    try type()
  }

  private mutating func boundTrait() throws(Invalid) {
    var open = try openPath()
    while eat("p") {
      try write(open ? ", " : "<")
      open = true
      try write(identifier() + " = ")
      try type()
    }
    if open { try write(">") }
  }

  mutating func constant(inValue: Bool) throws(Invalid) {
    try nested { (me) throws(Invalid) in try me.constantBody(inValue: inValue) }
  }

  private mutating func constantBody(inValue: Bool) throws(Invalid) {
    let tag = try next()
    switch tag {
    case "p": try write("_")
    case "h", "t", "m", "y", "o", "j": try write(number())
    case "a", "s", "l", "x", "n", "i": try write((eat("n") ? "-" : "") + number())
    case "b":
      switch try hexDigits() {
      case "0": try write("false")
      case "1": try write("true")
      default: throw Invalid()
      }
    case "c":
      guard let value = UInt32(try hexDigits(), radix: 16), let scalar = Unicode.Scalar(value) else {
        throw Invalid()
      }
      try write(Self.quoted([scalar], with: "'"))
    case "R" where eat("e"): try stringLiteral()
    case "B": try backReference { (me) throws(Invalid) in try me.constant(inValue: inValue) }
    default:
      // An expression as a generic argument stands in braces.
      if !inValue { try write("{") }
      try expression(tag)
      if !inValue { try write("}") }
    }
  }

  private mutating func expression(_ tag: Unicode.Scalar) throws(Invalid) {
    switch tag {
    case "e":
      try write("*")
      try stringLiteral()
    case "R", "Q":
      try write(tag == "R" ? "&" : "&mut ")
      try constant(inValue: true)
    case "A":
      try write("[")
      try list { (me) throws(Invalid) in try me.constant(inValue: true) }
      try write("]")
    case "T": try tuple()
    case "V":
      try path(inValue: true)
      switch try next() {
      case "U": break
      case "T":
        try write("(")
        try list { (me) throws(Invalid) in try me.constant(inValue: true) }
        try write(")")
      case "S":
        try write(" { ")
        try list { (me) throws(Invalid) in
          _ = try me.optionalBase62("s")
          try me.write(me.identifier() + ": ")
          try me.constant(inValue: true)
        }
        try write(" }")
      default: throw Invalid()
      }
    default: throw Invalid()
    }
  }

  private mutating func tuple() throws(Invalid) {
    try write("(")
    let count = try list { (me) throws(Invalid) in try me.constant(inValue: true) }
    try write(count == 1 ? ",)" : ")")
  }

  /// Hex digits up to `_`, without leading zeros.
  private mutating func hexDigits() throws(Invalid) -> String {
    var digits = String.UnicodeScalarView()
    while !eat("_") {
      let digit = try next()
      guard ("0"..."9").contains(digit) || ("a"..."f").contains(digit) else { throw Invalid() }
      digits.append(digit)
    }
    let significant = digits.drop { $0 == "0" }
    return significant.isEmpty ? "0" : String(significant)
  }

  private mutating func number() throws(Invalid) -> String {
    let digits = try hexDigits()
    return UInt64(digits, radix: 16).map(String.init) ?? "0x" + digits
  }

  private mutating func stringLiteral() throws(Invalid) {
    let start = position
    _ = try hexDigits()
    let digits = bytes[start..<(position - 1)]
    guard digits.count % 2 == 0 else { throw Invalid() }
    var text: [UInt8] = []
    for index in stride(from: digits.startIndex, to: digits.endIndex, by: 2) {
      guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
        throw Invalid()
      }
      text.append(byte)
    }
    try write(Self.quoted(Array(String(decoding: text, as: UTF8.self).unicodeScalars), with: "\""))
  }

  private static func quoted(_ scalars: [Unicode.Scalar], with quote: Unicode.Scalar) -> String {
    var result = String(Character(quote))
    for scalar in scalars {
      switch scalar {
      case "\t": result += "\\t"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\\", quote: result += "\\" + String(Character(scalar))
      default: result += String(Character(scalar))
      }
    }
    return result + String(Character(quote))
  }
}

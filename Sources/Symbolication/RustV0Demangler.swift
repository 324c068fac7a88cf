/// Rust's v0 mangling (RFC 2603): `_R` and a path. Written as rustc-demangle's short form: without crate
/// hashes and without the types of constants.
///
/// A name may refer back to its own earlier parts, so both depth and steps are limited; what a hostile
/// name expands to beyond that is given up, and the name stays mangled.
struct RustV0Demangler {
  struct Invalid: Error {}

  let bytes: [UInt8]
  var position = 0
  var output: [UInt8] = []
  /// Above 0 while a part is parsed that the short form does not show.
  var silence = 0
  var boundLifetimes: UInt64 = 0
  private var depth = 0
  private var steps = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The path, or nil if the name is not valid.
  static func demangle(_ name: String) -> String? {
    guard name.hasPrefix("_R") else { return nil }
    // Whatever a linker or LLVM appended begins with a character that mangled names do not have.
    let body = name.utf8.dropFirst(2).prefix { isWord($0) }
    var demangler = RustV0Demangler(Array(body))
    // A number here would be the version of a later scheme.
    guard let first = demangler.peek, isUpper(first) else { return nil }
    do throws(Invalid) {
      try demangler.path(inValue: true)
      if let next = demangler.peek, isUpper(next) {
        // The crate that instantiated a generic function.
        try demangler.silently { (self_: inout RustV0Demangler) throws(Invalid) in
          try self_.path(inValue: false)
        }
      }
      guard demangler.position == demangler.bytes.count else { return nil }
      return String(decoding: demangler.output, as: UTF8.self)
    } catch {
      return nil
    }
  }

  // MARK: Reading

  static func isUpper(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
  private static func isLower(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }
  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
  private static func isWord(_ byte: UInt8) -> Bool {
    isUpper(byte) || isLower(byte) || isDigit(byte) || byte == UInt8(ascii: "_")
  }

  var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func next() throws(Invalid) -> Unicode.Scalar {
    guard let byte = peek else { throw Invalid() }
    position += 1
    return Unicode.Scalar(byte)
  }

  mutating func eat(_ scalar: Unicode.Scalar) -> Bool {
    guard let byte = peek, Unicode.Scalar(byte) == scalar else { return false }
    position += 1
    return true
  }

  /// `_` is 0, `0_` is 1, and so on in base 62.
  mutating func base62() throws(Invalid) -> UInt64 {
    if eat("_") { return 0 }
    var value: UInt64 = 0
    while !eat("_") {
      let byte = UInt8(try next().value)
      let digit: UInt8
      if Self.isDigit(byte) {
        digit = byte - UInt8(ascii: "0")
      } else if Self.isLower(byte) {
        digit = byte - UInt8(ascii: "a") + 10
      } else if Self.isUpper(byte) {
        digit = byte - UInt8(ascii: "A") + 36
      } else {
        throw Invalid()
      }
      let (product, overflow) = value.multipliedReportingOverflow(by: 62)
      guard !overflow, product <= .max - 62 else { throw Invalid() }
      value = product + UInt64(digit)
    }
    return value + 1
  }

  /// A number after `tag`, or 0 without the tag.
  mutating func optionalBase62(_ tag: Unicode.Scalar) throws(Invalid) -> UInt64 {
    guard eat(tag) else { return 0 }
    let value = try base62()
    guard value < .max else { throw Invalid() }
    return value + 1
  }

  mutating func identifier() throws(Invalid) -> String {
    let punycode = eat("u")
    guard let first = peek, Self.isDigit(first) else { throw Invalid() }
    var length = 0
    if !eat("0") {
      while let byte = peek, Self.isDigit(byte) {
        length = length * 10 + Int(byte - UInt8(ascii: "0"))
        guard length <= bytes.count else { throw Invalid() }
        position += 1
      }
    }
    _ = eat("_")
    guard length <= bytes.count - position else { throw Invalid() }
    let text = bytes[position..<position + length]
    position += length
    guard punycode else { return String(decoding: text, as: UTF8.self) }
    guard let decoded = Punycode.decode(text) else { throw Invalid() }
    return decoded
  }

  /// Parses the earlier part that a back reference (whose `B` was just read) leads to.
  mutating func backReference(
    _ body: (inout RustV0Demangler) throws(Invalid) -> Void
  ) throws(Invalid) {
    let start = position - 1
    let target = try base62()
    guard target < UInt64(start) else { throw Invalid() }
    // Nothing would be printed, and it was parsed before.
    guard silence == 0 else { return }
    let resume = position
    position = Int(target)
    try nested(body)
    position = resume
  }

  /// Runs a part of the grammar, counting against the limits.
  mutating func nested(_ body: (inout RustV0Demangler) throws(Invalid) -> Void) throws(Invalid) {
    depth += 1
    steps += 1
    defer { depth -= 1 }
    guard depth <= 200, steps <= 20_000 else { throw Invalid() }
    try body(&self)
  }

  mutating func silently(_ body: (inout RustV0Demangler) throws(Invalid) -> Void) throws(Invalid) {
    silence += 1
    defer { silence -= 1 }
    try body(&self)
  }

  /// Items up to `E`; returns how many.
  @discardableResult
  mutating func list(
    separator: String = ", ", _ item: (inout RustV0Demangler) throws(Invalid) -> Void
  ) throws(Invalid) -> Int {
    var count = 0
    while !eat("E") {
      if count > 0 { try write(separator) }
      try item(&self)
      count += 1
    }
    return count
  }

  mutating func write(_ text: String) throws(Invalid) {
    guard silence == 0 else { return }
    output += text.utf8
    guard output.count <= Demangler.outputLimit else { throw Invalid() }
  }
}

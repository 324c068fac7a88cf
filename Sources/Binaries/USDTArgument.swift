/// Where one argument of a USDT probe stands when its instruction is about to be executed.
public struct USDTArgument: Sendable, Hashable {
  public enum Location: Sendable, Hashable {
    /// A general register. x86-64: numbered as in `Place`, rax 0 to r15 15. arm64: x0 0 to x30 30, sp 31.
    case register(Int)
    /// The word at a base register plus a displacement in bytes.
    case memory(base: Int, displacement: Int64)
    case constant(Int64)
  }

  /// The processors whose operands are understood.
  public enum Machine: Sendable, Hashable {
    case x86_64
    case arm64
  }

  /// Bytes of the value, from the lowest of its place on: 1, 2, 4 or 8.
  public var size: Int
  /// Whether a narrow value is extended by its sign.
  public var isSigned: Bool
  public var location: Location

  public init(size: Int, isSigned: Bool, location: Location) {
    self.size = size
    self.isSigned = isSigned
    self.location = location
  }

  /// Why a text is no argument that can be read. Says the text.
  public struct Unsupported: Error, Sendable, Hashable, CustomStringConvertible {
    public var text: String
    public var why: String

    public var description: String { "the argument `\(text)` \(why)" }
  }

  private static let most = 12

  /// Parses what stands in a note: operands of the assembler, each after its size and an @, parted by spaces.
  /// The size is negative for signed values ("-4@%eax 8@-16(%rbp) 8@$5"; arm64 "8@x0 -4@[sp, 16] 8@5").
  ///
  /// Refused, since nothing here needs them: addresses of symbols ("x(%rip)"), index registers, floating point,
  /// segments, and the registers that are a second byte (%ah).
  public static func parse(_ text: String, machine: Machine = .x86_64) throws(Unsupported) -> [USDTArgument] {
    var arguments: [USDTArgument] = []
    for part in split(text) {
      guard arguments.count < most else { throw Unsupported(text: shown(text), why: "is one too many") }
      arguments.append(try argument(part, machine))
    }
    return arguments
  }

  /// At spaces, but not at those between brackets.
  private static func split(_ text: String) -> [Substring] {
    var depth = 0
    return text.split { character in
      if character == "[" || character == "(" { depth += 1 }
      if character == "]" || character == ")" { depth -= 1 }
      return character == " " && depth <= 0
    }
  }

  private static func argument(_ text: Substring, _ machine: Machine) throws(Unsupported) -> USDTArgument {
    let halves = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2, let size = Int(halves[0]), [1, 2, 4, 8].contains(size.magnitude) else {
      throw Unsupported(text: shown(text), why: "has no size of 1, 2, 4 or 8 bytes")
    }
    let location: Location? =
      switch machine {
      case .x86_64: x86(halves[1])
      case .arm64: arm(halves[1])
      }
    guard let location else {
      throw Unsupported(
        text: shown(text), why: "is neither a register, nor a constant, nor memory at a register")
    }
    return USDTArgument(size: Int(size.magnitude), isSigned: size < 0, location: location)
  }

  // MARK: - Operands

  /// AT&T syntax: %rdi, $5, -16(%rbp).
  private static func x86(_ text: Substring) -> Location? {
    switch text.first {
    case "%": return x86Registers[text.dropFirst()].map { .register($0) }
    case "$": return number(text.dropFirst()).map { .constant($0) }
    default:
      guard text.hasSuffix(")"), let open = text.firstIndex(of: "(") else { return nil }
      let inside = text[text.index(after: open)...].dropLast()
      // Only a whole register can be an address.
      guard inside.hasPrefix("%r"), let base = x86Registers[inside.dropFirst()], isWhole(inside.dropFirst())
      else { return nil }
      let before = text[..<open]
      guard let displacement = before.isEmpty ? 0 : number(before) else { return nil }
      return .memory(base: base, displacement: displacement)
    }
  }

  /// x0, w0, sp, 5, [x29], [sp, 16].
  private static func arm(_ text: Substring) -> Location? {
    if let register = armRegister(text, letters: "xw") { return .register(register) }
    guard text.hasPrefix("["), text.hasSuffix("]") else {
      return number(text.hasPrefix("#") ? text.dropFirst() : text).map { .constant($0) }
    }
    let parts = text.dropFirst().dropLast().split(separator: ",", omittingEmptySubsequences: false)
      .map { $0.drop { $0 == " " } }
    guard let first = parts.first, parts.count <= 2, let base = armRegister(first, letters: "x") else {
      return nil
    }
    guard parts.count == 2 else { return .memory(base: base, displacement: 0) }
    let offset = parts[1].hasPrefix("#") ? parts[1].dropFirst() : parts[1]
    return number(offset).map { .memory(base: base, displacement: $0) }
  }

  private static func armRegister(_ text: Substring, letters: String) -> Int? {
    if text == "sp" { return 31 }
    guard let letter = text.first, letters.contains(letter), let number = Int(text.dropFirst()),
      (0...30).contains(number), String(number) == text.dropFirst()
    else { return nil }
    return number
  }

  /// Decimal or 0x…, with a sign. Constants may use all 64 bits.
  private static func number(_ text: Substring) -> Int64? {
    let isNegative = text.hasPrefix("-")
    let digits = isNegative ? text.dropFirst() : text
    guard let first = digits.first, first.isASCII, first.isNumber else { return nil }
    let magnitude = digits.hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits)
    guard let magnitude else { return nil }
    guard isNegative else { return Int64(bitPattern: magnitude) }
    return magnitude <= 1 << 63 ? 0 &- Int64(bitPattern: magnitude) : nil
  }

  private static let x86Registers: [Substring: Int] = {
    var result: [Substring: Int] = [:]
    for (number, names) in RegisterSet.partNames.enumerated() {
      // %ah is the second byte of a register, not its first.
      for name in names where !name.hasSuffix("h") { result[name[...]] = number }
    }
    for number in 8...15 { result["r\(number)l"] = number }
    return result
  }()

  /// "rdi" or "r8", not "r8d".
  private static func isWhole(_ name: Substring) -> Bool {
    x86Registers[name].map { RegisterSet.partNames[$0][0] == name } ?? false
  }

  /// The text for a message: it is the target's, so it is cut, and steers no terminal.
  private static func shown(_ text: some StringProtocol) -> String {
    let safe = text.unicodeScalars.prefix(80).map { (0x20..<0x7f).contains($0.value) ? Character($0) : "?" }
    return String(safe) + (text.unicodeScalars.count > 80 ? "..." : "")
  }
}

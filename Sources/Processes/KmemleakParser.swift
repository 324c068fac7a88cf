extension KmemleakReport {
  /// Parses the text of /sys/kernel/debug/kmemleak, as kernels from 2.6.31 to 6.18 print it. A process gives itself its
  /// name, with line ends if it likes, so that lines count only where they belong; what does not fit is counted.
  public init(_ text: [UInt8]) {
    objects = []
    omitted = 0
    strangeLines = 0
    var parser = Parser()
    for line in text.split(separator: UInt8(ascii: "\n")) {
      // Names are the only bytes above 127, and are made displayable below.
      let line = String(decoding: line, as: UTF8.self)
      guard let header = Parser.header(line) else {
        if !parser.take(line) { strangeLines += 1 }
        continue
      }
      add(parser.object)
      parser = Parser(object: header)
    }
    add(parser.object)
  }

  private mutating func add(_ object: Object?) {
    guard let object else { return }
    if objects.count < Self.most { objects.append(object) } else { omitted += 1 }
  }

  /// One object's lines, one after the other.
  private struct Parser {
    private enum Part { case outside, header, bytes, frames }

    var object: Object?
    private var part = Part.outside
    /// The begin of a name that has line ends in it.
    private var name: [UInt8]?

    /// More frames than kmemleak keeps.
    private static let mostFrames = 64

    init() {}

    init(object: Object) {
      self.object = object
      part = .header
    }

    /// False for a line that does not belong here.
    mutating func take(_ line: String) -> Bool {
      switch part {
      case .outside: return false
      case .header:
        if name == nil, line.hasPrefix("  hex dump (") {
          part = .bytes
          return true
        }
        if name == nil, Self.isBacktrace(line) {
          part = .frames
          return true
        }
        return takeOrigin(line)
      case .bytes:
        guard Self.isBacktrace(line) else { return line.hasPrefix("    ") }
        part = .frames
        return true
      case .frames:
        guard let frame = Self.frame(line), (object?.frames.count ?? 0) < Self.mostFrames else {
          return false
        }
        object?.frames.append(frame)
        return true
      }
    }

    /// "unreferenced object (percpu) 0xffff88800f3a4000 (size 32):"
    static func header(_ line: String) -> Object? {
      var words = line.split(separator: " ")
      guard line.hasPrefix("unreferenced object "), words.count >= 5 else { return nil }
      var kind: String?
      if words[2].hasPrefix("(") {
        kind = displayable(words[2].filter { $0 != "(" && $0 != ")" })
        words.remove(at: 2)
      }
      guard words.count == 5, let address = hexadecimal(words[2]), words[3] == "(size",
        words[4].hasSuffix("):"),
        let size = UInt64(words[4].dropLast(2))
      else { return nil }
      return Object(
        address: address, size: size, kind: kind, command: "", pid: 0, jiffies: 0, ageSeconds: nil, frames: []
      )
    }

    /// "  comm "insmod", pid 1140, jiffies 4294894652 (age 1.300s)"; the age is not in newer ones. Bytes, for a name could
    /// join with the quotes around it into one Character.
    private mutating func takeOrigin(_ line: String) -> Bool {
      if let begun = name {
        name = begun + [UInt8(ascii: "\n")] + line.utf8
      } else {
        let begin = Array("  comm \"".utf8)
        guard line.utf8.starts(with: begin) else { return false }
        name = Array(line.utf8.dropFirst(begin.count))
      }
      guard let whole = name else { return false }
      // The last one: the name may hold such a text, too.
      guard let mark = Self.last("\", pid ", in: whole) else { return whole.count < 64 }
      let words = String(decoding: whole[mark.upperBound...], as: UTF8.self).split(separator: " ")
      guard words.count == 3 || words.count == 5, words[0].hasSuffix(","),
        let pid = Int32(words[0].dropLast()),
        words[1] == "jiffies", let jiffies = UInt64(words[2])
      else { return false }
      if words.count == 5 {
        guard words[3] == "(age", words[4].hasSuffix("s)"), let age = Double(words[4].dropLast(2)) else {
          return false
        }
        object?.ageSeconds = age
      }
      object?.command = displayable(String(decoding: whole[..<mark.lowerBound], as: UTF8.self))
      object?.pid = pid
      object?.jiffies = jiffies
      name = nil
      return true
    }

    /// "  backtrace:", and since 6.8 or so "  backtrace (crc 7bd6af23):"
    private static func isBacktrace(_ line: String) -> Bool {
      line == "  backtrace:" || line.hasPrefix("  backtrace (crc ") && line.hasSuffix("):")
    }

    /// "    [<00000000f2bbb441>] load_msg+0x3a/0x160 [mod]"; without the bracket since 6.10 or so; a bare address where
    /// there is no name. The number in the bracket is scrambled, and of no use.
    private static func frame(_ line: String) -> Frame? {
      guard line.hasPrefix("    ") else { return nil }
      var words = line.split(separator: " ")
      if let first = words.first, first.hasPrefix("[<"), first.hasSuffix(">]") { words.removeFirst() }
      guard words.count == 1 || words.count == 2 else { return nil }
      var module: String?
      if words.count == 2 {
        guard words[1].hasPrefix("["), words[1].hasSuffix("]"), words[1].count > 2 else { return nil }
        module = displayable(String(words[1].dropFirst().dropLast()))
      }
      if let address = hexadecimal(words[0]) { return Frame(function: nil, module: module, offset: address) }
      let parts = words[0].split(separator: "+", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else { return nil }
      let numbers = parts[1].split(separator: "/", omittingEmptySubsequences: false)
      guard numbers.count == 2, let offset = hexadecimal(numbers[0]), hexadecimal(numbers[1]) != nil else {
        return nil
      }
      return Frame(function: displayable(String(parts[0])), module: module, offset: offset)
    }

    private static func hexadecimal(_ text: Substring) -> UInt64? {
      text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : nil
    }

    private static func last(_ text: String, in whole: [UInt8]) -> Range<Int>? {
      let text = Array(text.utf8)
      let starts = 0...max(whole.count - text.count, 0)
      return starts.last { whole[$0...].starts(with: text) }.map { $0..<$0 + text.count }
    }
  }
}

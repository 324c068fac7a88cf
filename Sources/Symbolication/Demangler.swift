internal import CSymbolShims

/// Turns linkage names into what a programmer wrote: C++, Rust (legacy and v0) and Swift.
enum Demangler {
  /// Longer names are cut rather than demangled.
  static let inputLimit = 16 * 1024
  static let outputLimit = 16 * 1024

  /// The readable name, safe to print; names of no known scheme come back cleaned but unchanged.
  static func readable(_ raw: String) -> String {
    guard raw.utf8.count <= inputLimit else { return SafeText.clean(raw) }
    let name = withoutVersion(raw)
    // Swift uses "." inside of its own names (".resume.0") and its demangler knows them.
    if isSwift(name) { return SafeText.clean(external(name, DRIP_SWIFT) ?? name) }
    let base = withoutCloneSuffix(name)
    let text: String?
    if base.hasPrefix("_ZN"), let rust = RustLegacyDemangler.demangle(base) {
      text = rust
    } else if base.hasPrefix("_Z") || base.hasPrefix("___Z") {
      text = external(base, DRIP_CXX)
    } else if base.hasPrefix("_R") {
      text = RustV0Demangler.demangle(base)
    } else {
      text = nil
    }
    return SafeText.clean(text ?? base)
  }

  /// "memcpy@@GLIBC_2.14" is memcpy.
  static func withoutVersion(_ name: String) -> String {
    guard let at = name.utf8.firstIndex(of: UInt8(ascii: "@")), at != name.startIndex else { return name }
    return String(name[..<at])
  }

  /// Compilers split and specialise functions and say so after a dot; to a reader it is one function.
  static func withoutCloneSuffix(_ name: String) -> String {
    let marks = [
      ".constprop.", ".isra.", ".part.", ".cold", ".lto_priv.", ".llvm.", ".localalias", ".clone.",
    ]
    guard name.utf8.dropFirst().contains(UInt8(ascii: ".")) else { return name }
    let bytes = Array(name.utf8)
    for index in bytes.indices.dropFirst() where bytes[index] == UInt8(ascii: ".") {
      if marks.contains(where: { bytes[index...].starts(with: $0.utf8) }) {
        return String(decoding: bytes[..<index], as: UTF8.self)
      }
    }
    return name
  }

  private static func isSwift(_ name: String) -> Bool {
    ["$s", "$S", "$e", "_T0", "_$s", "_$S"].contains { name.hasPrefix($0) }
  }

  /// Both schemes let a name refer back to its parts, so a short one can stand for more text than there
  /// is memory. With few references the result is bounded; the others are tried where they do no harm.
  private static func external(_ name: String, _ language: drip_language) -> String? {
    let confined = references(name, language) > 16
    // Not written into the string itself, which would keep the room for the longest one.
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: outputLimit) { out in
      guard let start = out.baseAddress else { return nil }
      let length =
        confined
        ? drip_demangle_confined(language, name, start, outputLimit)
        : drip_demangle(language, name, start, outputLimit)
      guard length > 0 else { return nil }
      return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    }
  }

  /// An upper bound for the references in a name.
  private static func references(_ name: String, _ language: drip_language) -> Int {
    language == DRIP_SWIFT ? swiftReferences(name) : cxxReferences(name)
  }

  /// "S_" and "S1Z_" refer back, as "T_" and "T0_" do; "St", "Sa" and their like are short for one fixed word each.
  private static func cxxReferences(_ name: String) -> Int {
    var total = 0
    var isOpen = false
    for byte in name.utf8 {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
        if isOpen { total += 1 }
      default: break
      }
      isOpen = byte == UInt8(ascii: "S") || byte == UInt8(ascii: "T")
    }
    return total
  }

  /// A reference may carry a repeat count ("A99C").
  private static func swiftReferences(_ name: String) -> Int {
    var total = 0
    var count: Int?
    for byte in name.utf8 {
      switch byte {
      case UInt8(ascii: "A"):
        total += 1
        count = 0
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        guard let known = count else { continue }
        count = min(known * 10 + Int(byte - UInt8(ascii: "0")), inputLimit)
      default:
        total += count ?? 0
        count = nil
      }
    }
    return total
  }
}

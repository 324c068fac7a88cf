import Glibc
import Testing

@testable import Binaries

/// What readelf says of a file's call frame information: for each address at which something changes, the rule.
struct FrameOracle {
  enum Row: Equatable {
    case rule(UnwindRule)
    /// An expression, whose text readelf does not give in its table.
    case expression
    /// Something that a rule of 8 bytes cannot say.
    case inexpressible
  }

  private(set) var rows: [UInt64: Row] = [:]

  /// `section`: of the two DWARF formats, or `.sframe`.
  init(_ path: String, section: String, machine: Machine = .host) throws {
    let what = section == ".sframe" ? "--sframe=.sframe" : "--debug-dump=frames-interp"
    // An entry names its range; its table follows.
    let command = "LC_ALL=C readelf \(what) -wN -W '\(path)' 2>/dev/null"
    let pipe = try #require(popen(command, "r"))
    defer { pclose(pipe) }
    var line = [CChar](repeating: 0, count: 4096)
    var columns: [Substring] = []
    var isWanted = false
    var isCommon = false
    while fgets(&line, 4096, pipe) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if text.hasPrefix("Contents of the ") {
        isWanted = text.contains(" \(section) section") || text.contains(" section \(section):")
      }
      let words = text.split(whereSeparator: \.isWhitespace)
      if words.contains("CIE") { isCommon = true }
      if words.contains("FDE") { isCommon = false }
      if words.first == "LOC" || words.first == "STARTPC" { columns = words }
      guard isWanted, !isCommon, words.count == columns.count, words.count >= 2, words[0].count == 16,
        let address = UInt64(words[0], radix: 16)
      else { continue }
      let table = Dictionary(zip(columns.map { $0.lowercased() }, words), uniquingKeysWith: { $1 })
      rows[address] = Self.row(table, machine)
    }
  }

  private static func row(_ columns: [String: Substring], _ machine: Machine) -> Row {
    let saved = columns["fp"] ?? columns[machine == .x86_64 ? "rbp" : "x29"] ?? "u"
    let back = columns["ra"]
    guard let cfa = columns["cfa"] else { return .inexpressible }
    // In a table of DWARF an undefined return address ends the walk; SFrame's "u" is the default. For arm64 readelf says
    // the same of a return address that is still in its register.
    if back == "u", columns["startpc"] == nil, machine == .x86_64 { return .rule(UnwindRule(.stop)) }
    if cfa == "exp" { return .expression }
    let base: UnwindRule.CFA
    let parts = cfa.split(separator: "+", maxSplits: 1)
    switch parts.first {
    case "rsp", "sp", "x31": base = .stackPointer
    case "rbp", "fp", "x29": base = .framePointer
    default: return .inexpressible
    }
    guard parts.count == 2, let offset = Int32(parts[1]) else { return .inexpressible }
    let fp: Int16? = saved.hasPrefix("c") ? Int16(saved.dropFirst()) : nil
    guard fp != nil || saved == "u" || saved == "s" else { return .inexpressible }
    if machine == .x86_64 {
      guard back == nil || back == "c-8" || back == "u" else { return .inexpressible }
      return .rule(
        UnwindRule(base, offset: offset, framePointer: fp == nil ? .same : .atCFA, fpOffset: fp ?? 0))
    }
    guard let back, back != "u", back != "s" else {
      return .rule(
        UnwindRule(
          base, offset: offset, framePointer: fp == nil ? .same : .atCFA, fpOffset: fp ?? 0,
          returnAddress: .inRegister))
    }
    guard back.hasPrefix("c"), let place = Int16(back.dropFirst()) else { return .inexpressible }
    guard let fp else {
      return .rule(UnwindRule(base, offset: offset, fpOffset: place, returnAddress: .atCFA))
    }
    guard place == fp + 8 else { return .inexpressible }
    return .rule(
      UnwindRule(base, offset: offset, framePointer: .atCFA, fpOffset: fp, returnAddress: .aboveFP))
  }
}

internal import CElfutils

/// The source files of one compilation unit, by the numbers that call sites use.
struct SourceFiles {
  private var files: OpaquePointer?
  private var count = 0
  private let unit: Dwarf_Die

  init(_ unit: inout Dwarf_Die) {
    self.unit = unit
    if dwarf_getsrcfiles(&unit, &files, &count) != 0 { count = 0 }
  }

  /// Where an inlined function was called.
  func callSite(_ die: inout Dwarf_Die) -> LineInfo.Position {
    var result = LineInfo.Position()
    if let line = Self.number(&die, UInt32(DW_AT_call_line)), line > 0 { result.line = Int(exactly: line) }
    if let index = Self.number(&die, UInt32(DW_AT_call_file)), index < count {
      var unit = unit
      result.file = Self.path(dwarf_filesrc(files, Int(index), nil, nil), &unit)
    }
    return result
  }

  private static func number(_ die: inout Dwarf_Die, _ name: UInt32) -> UInt64? {
    var attribute = Dwarf_Attribute()
    var value: Dwarf_Word = 0
    guard dwarf_attr(&die, name, &attribute) != nil, dwarf_formudata(&attribute, &value) == 0 else {
      return nil
    }
    return value
  }

  /// A path, made absolute by the directory of the compilation, and safe to print.
  static func path(_ text: UnsafePointer<CChar>?, _ unit: inout Dwarf_Die) -> String? {
    guard let path = SafeText.string(text, maximum: 4096), !path.isEmpty, path != "???" else { return nil }
    if path.hasPrefix("/") { return SafeText.clean(path) }
    var attribute = Dwarf_Attribute()
    guard dwarf_attr(&unit, UInt32(DW_AT_comp_dir), &attribute) != nil,
      let directory = SafeText.string(dwarf_formstring(&attribute), maximum: 4096), !directory.isEmpty
    else { return SafeText.clean(path) }
    return SafeText.clean(directory + "/" + path)
  }
}

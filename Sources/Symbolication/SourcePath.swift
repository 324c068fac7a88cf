internal import CElfutils

/// Where an inlined function was called.
enum CallPosition {
  static func of(_ die: inout Dwarf_Die, _ lines: LineTable) -> LineInfo.Position {
    var result = LineInfo.Position()
    if let line = number(&die, UInt32(DW_AT_call_line)), line > 0 { result.line = Int(exactly: line) }
    if let index = number(&die, UInt32(DW_AT_call_file)) { result.file = lines.file(index) }
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
}

/// Paths of source files as the debug information has them.
enum SourcePath {
  /// The directory of the compilation.
  static func directory(of unit: inout Dwarf_Die) -> String? {
    var attribute = Dwarf_Attribute()
    guard dwarf_attr(&unit, UInt32(DW_AT_comp_dir), &attribute) != nil,
      let directory = SafeText.string(dwarf_formstring(&attribute), maximum: 4096), !directory.isEmpty
    else { return nil }
    return directory
  }

  /// A path, made absolute by the directory of the compilation, and safe to print.
  static func make(_ text: UnsafePointer<CChar>?, in directory: String?) -> String? {
    guard let path = SafeText.string(text, maximum: 4096), !path.isEmpty, path != "???" else { return nil }
    if path.hasPrefix("/") { return SafeText.clean(path) }
    return SafeText.clean(directory.map { $0 + "/" + path } ?? path)
  }
}

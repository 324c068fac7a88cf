internal import CElfutils

/// Lines and inlined functions of one file, from DWARF. All addresses are virtual addresses of the file.
///
/// The data is the target's: every walk moves strictly forward in the file or has a bound.
final class LineInfo {
  private let module: OpaquePointer
  private let dwarf: OpaquePointer?
  private var supplement: SupplementaryFile?
  /// Address in the file minus address in the debug information.
  private let bias: UInt64
  private var functions: [UInt64: FunctionIndex] = [:]
  private var names: [UnsafePointer<CChar>: String] = [:]
  private lazy var lines = LineReader(dwarf)
  private lazy var units = UnitIndex(dwarf: dwarf)

  /// A position in the source.
  struct Position: Equatable {
    var file: String?
    var line: Int?
  }

  /// A function around an address. Inner ones are inlined into the next.
  struct Scope {
    var name: String?
    var position: Position
  }

  /// Deeper inlining than any compiler makes.
  static let maximumDepth = 64

  init(module: OpaquePointer, target: TargetFiles) {
    self.module = module
    var bias: Dwarf_Addr = 0
    let found = dwfl_module_getdwarf(module, &bias)
    self.bias = bias
    do throws(OpenFailure) {
      if let found { supplement = try SupplementaryFile(for: found, target: target) }
      dwarf = found
    } catch {
      dwarf = nil
    }
  }

  /// The functions at an address, innermost first, the last one being the physical function; empty if
  /// no debug information covers it. With `isNamed` the name of the physical function is known already and left out.
  func scopes(at address: UInt64, isNamed: Bool = false) -> [Scope] {
    guard dwarf != nil else { return [] }
    let pc = address &- bias
    guard var unit = unit(at: address, pc) else { return [] }
    let table = lines.table(unit: UInt64(dwarf_dieoffset(&unit)))
    var position = table.position(at: pc)
    var result: [Scope] = []
    let functions = chain(&unit, pc)
    for index in functions.indices.reversed() {
      var function = functions[index]
      result.append(Scope(name: isNamed && index == 0 ? nil : name(&function), position: position))
      position = CallPosition.of(&function, table)
    }
    return result.isEmpty ? [Scope(name: nil, position: position)] : result
  }

  private func unit(at address: UInt64, _ pc: UInt64) -> Dwarf_Die? {
    var bias: Dwarf_Addr = 0
    if let found = dwfl_module_addrdie(module, address, &bias) { return found.pointee }
    // clang and swiftc write no .debug_aranges, which libdwfl relies on.
    return units.unit(at: pc)
  }

  /// The DIEs of the physical function and of what is inlined at `pc`, outermost first.
  private func chain(_ unit: inout Dwarf_Die, _ pc: UInt64) -> [Dwarf_Die] {
    let key = UInt64(dwarf_dieoffset(&unit))
    let index = functions[key] ?? FunctionIndex(&unit)
    functions[key] = index
    guard let offset = index.function(at: pc) else { return [] }
    var function = Dwarf_Die()
    guard dwarf_offdie(dwarf, offset, &function) != nil else { return [] }
    var result = [function]
    var current = function
    // Lexical blocks nest between inlined calls, so there may be more steps than functions.
    for _ in 0..<(4 * Self.maximumDepth) {
      guard result.count < Self.maximumDepth, let inner = Self.child(of: &current, at: pc) else { break }
      current = inner
      if dwarf_tag(&current) == Int32(DW_TAG_inlined_subroutine) { result.append(current) }
    }
    return result
  }

  /// The inlined call or the block directly inside of `die` that contains `pc`.
  private static func child(of die: inout Dwarf_Die, at pc: UInt64) -> Dwarf_Die? {
    var found: Dwarf_Die?
    DieWalk.children(of: &die) { child in
      let tag = UInt32(bitPattern: dwarf_tag(&child))
      switch tag {
      case UInt32(DW_TAG_inlined_subroutine), UInt32(DW_TAG_lexical_block), UInt32(DW_TAG_try_block),
        UInt32(DW_TAG_catch_block):
        if dwarf_haspc(&child, pc) > 0 {
          found = child
          return false
        }
      default: break
      }
      return true
    }
    return found
  }

  /// The linkage name made readable, else the plain one.
  private func name(_ die: inout Dwarf_Die) -> String? {
    for attribute in [DW_AT_linkage_name, DW_AT_MIPS_linkage_name] {
      var value = Dwarf_Attribute()
      if dwarf_attr_integrate(&die, UInt32(attribute), &value) != nil,
        let text = readable(dwarf_formstring(&value))
      {
        return text
      }
    }
    return readable(dwarf_diename(&die))
  }

  /// A name of the debug information, where the same text stands at the same place each time it is met.
  private func readable(_ text: UnsafePointer<CChar>?) -> String? {
    guard let text else { return nil }
    if let known = names[text] { return known }
    let name = SafeText.string(text, maximum: Demangler.inputLimit).map(Demangler.readable)
    names[text] = name
    return name
  }
}

internal import CElfutils

/// Walks over debug information that end even if the data is made to go round in circles.
enum DieWalk {
  /// Calls `body` for each child until it returns false. Children must follow one another in the file.
  static func children(of die: inout Dwarf_Die, _ body: (inout Dwarf_Die) -> Bool) {
    var child = Dwarf_Die()
    guard dwarf_child(&die, &child) == 0 else { return }
    var last = dwarf_dieoffset(&die)
    while true {
      let offset = dwarf_dieoffset(&child)
      guard offset > last, body(&child) else { return }
      last = offset
      var next = Dwarf_Die()
      guard dwarf_siblingof(&child, &next) == 0 else { return }
      child = next
    }
  }

  /// Calls `body` with each address range of a DIE.
  static func ranges(of die: inout Dwarf_Die, _ body: (Range<UInt64>) -> Void) {
    var base: Dwarf_Addr = 0
    var start: Dwarf_Addr = 0
    var end: Dwarf_Addr = 0
    var position = dwarf_ranges(&die, 0, &base, &start, &end)
    var last = 0
    while position > last {
      if start < end { body(start..<end) }
      last = position
      position = dwarf_ranges(&die, position, &base, &start, &end)
    }
  }
}

/// Address ranges with the DIE that each belongs to, searched by bisection.
struct RangeIndex {
  private var entries: [(start: UInt64, end: UInt64, die: UInt64)] = []

  mutating func add(_ die: inout Dwarf_Die) {
    let offset = UInt64(dwarf_dieoffset(&die))
    DieWalk.ranges(of: &die) { range in
      // Functions that the linker dropped are left at address 0 or at the top.
      if range.lowerBound > 0 { entries.append((range.lowerBound, range.upperBound, offset)) }
    }
  }

  mutating func sort() { entries.sort { ($0.start, $1.end) < ($1.start, $0.end) } }

  func die(at pc: UInt64) -> UInt64? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].start <= pc { low = middle + 1 } else { high = middle }
    }
    return entries[max(0, low - 8)..<low].last { pc < $0.end }?.die
  }
}

/// The physical functions of one compilation unit by address. One pass over the unit serves all its
/// addresses, where dwarf_getscopes walks the whole unit each time.
struct FunctionIndex {
  private var ranges = RangeIndex()
  private var visited = 0

  /// More entries than any real compilation unit has.
  private static let maximumVisits = 8_000_000

  init(_ unit: inout Dwarf_Die) {
    collect(&unit, depth: 0)
    ranges.sort()
  }

  func function(at pc: UInt64) -> UInt64? { ranges.die(at: pc) }

  private mutating func collect(_ die: inout Dwarf_Die, depth: Int) {
    guard depth < LineInfo.maximumDepth else { return }
    DieWalk.children(of: &die) { child in
      visited += 1
      guard visited < Self.maximumVisits else { return false }
      switch dwarf_tag(&child) {
      case Int32(DW_TAG_subprogram):
        ranges.add(&child)
        collect(&child, depth: depth + 1)
      case Int32(DW_TAG_namespace), Int32(DW_TAG_module), Int32(DW_TAG_class_type),
        Int32(DW_TAG_structure_type), Int32(DW_TAG_union_type), Int32(DW_TAG_enumeration_type),
        Int32(DW_TAG_variant_part), Int32(DW_TAG_lexical_block):
        collect(&child, depth: depth + 1)
      default: break
      }
      return true
    }
  }
}

/// The compilation units by address, for files without .debug_aranges.
struct UnitIndex {
  private let dwarf: OpaquePointer?
  private var ranges = RangeIndex()

  init(dwarf: OpaquePointer?) {
    self.dwarf = dwarf
    guard let dwarf else { return }
    var offset: Dwarf_Off = 0
    while true {
      var next: Dwarf_Off = 0
      var headerSize = 0
      guard dwarf_nextcu(dwarf, offset, &next, &headerSize, nil, nil, nil) == 0, next > offset else { break }
      var unit = Dwarf_Die()
      if dwarf_offdie(dwarf, offset + UInt64(headerSize), &unit) != nil { ranges.add(&unit) }
      offset = next
    }
    ranges.sort()
  }

  func unit(at pc: UInt64) -> Dwarf_Die? {
    guard let offset = ranges.die(at: pc) else { return nil }
    var unit = Dwarf_Die()
    return dwarf_offdie(dwarf, offset, &unit) == nil ? nil : unit
  }
}

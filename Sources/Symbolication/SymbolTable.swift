internal import CElfutils
internal import Glibc

/// The functions of one file by address. libdwfl's own look-up scans all symbols each time (about a
/// millisecond); this is a sorted array of 16 bytes a function and a bisection.
struct SymbolTable {
  private let module: OpaquePointer
  private var entries: [Entry] = []

  private struct Entry {
    var address: UInt64
    /// Cut at 2 GiB; the top bit marks a size that is a guess, because the symbol has none.
    var sizeAndGuess: UInt32
    /// The symbol's number in libdwfl's table, which keeps the names.
    var index: Int32

    static let guess: UInt32 = 1 << 31

    func covers(_ pc: UInt64) -> Bool { pc &- address < UInt64(sizeAndGuess & ~Self.guess) }
    var isGuess: Bool { sizeAndGuess & Self.guess != 0 }
  }

  init(module: OpaquePointer, segments: [SymbolFile.Segment]) {
    self.module = module
    let count = dwfl_module_getsymtab(module)
    guard count > 1 else { return }
    let code = segments.filter(\.executable)
    for index in 1..<count {
      if let entry = Self.entry(module, index, code) { entries.append(entry) }
    }
    entries.sort { ($0.address, $0.index) < ($1.address, $1.index) }
    keepBestNames()
    entries = Array(entries)
  }

  /// The raw name of the function at an address of the file.
  func name(at pc: UInt64) -> String? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].address <= pc { low = middle + 1 } else { high = middle }
    }
    var guess: Int32?
    // A label inside of a function comes after the function, so look back a little.
    for entry in entries[max(0, low - 32)..<low].reversed() where entry.covers(pc) {
      if !entry.isGuess { return name(entry.index) }
      guess = guess ?? entry.index
    }
    return guess.flatMap(name)
  }

  private func name(_ index: Int32) -> String? {
    var symbol = GElf_Sym()
    var address: GElf_Addr = 0
    let text = dwfl_module_getsym_info(module, index, &symbol, &address, nil, nil, nil)
    return SafeText.string(text, maximum: Demangler.inputLimit)
  }

  private static func entry(_ module: OpaquePointer, _ index: Int32, _ code: [SymbolFile.Segment]) -> Entry? {
    var symbol = GElf_Sym()
    var address: GElf_Addr = 0
    var section: GElf_Word = 0
    var elf: OpaquePointer?
    guard let name = dwfl_module_getsym_info(module, index, &symbol, &address, &section, &elf, nil),
      name.pointee != 0, section != SHN_UNDEF, section != SHN_ABS
    else { return nil }
    let kind = Int32(symbol.st_info & 0xf)
    guard kind == STT_FUNC || kind == STT_GNU_IFUNC || kind == STT_NOTYPE else { return nil }
    guard let segment = code.first(where: { address &- $0.address < $0.size }) else { return nil }
    if symbol.st_size > 0 {
      return Entry(address: address, sizeAndGuess: UInt32(min(symbol.st_size, 1 << 30)), index: index)
    }
    // Hand-written assembly has no sizes: up to the next symbol, but not out of its section.
    var end = segment.address &+ segment.size
    var header = GElf_Shdr()
    if let elf, let found = elf_getscn(elf, Int(section)), gelf_getshdr(found, &header) != nil,
      address &- header.sh_addr < header.sh_size
    {
      end = min(end, header.sh_addr &+ header.sh_size)
    }
    guard end > address else { return nil }
    return Entry(
      address: address, sizeAndGuess: UInt32(min(end - address, 1 << 30)) | Entry.guess, index: index)
  }

  /// Leaves one entry per address: the name that a reader would expect, with the largest size.
  private mutating func keepBestNames() {
    var kept = 0
    var start = 0
    while start < entries.count {
      var end = start + 1
      var best = entries[start]
      var bestRank = end < entries.count && entries[end].address == best.address ? rank(best) : nil
      while end < entries.count, entries[end].address == best.address {
        let candidate = rank(entries[end])
        if let current = bestRank, candidate.precedes(current) {
          best = entries[end]
          bestRank = candidate
        }
        end += 1
      }
      let sized = entries[start..<end].lazy.filter { !$0.isGuess }.map(\.sizeAndGuess).max()
      if let sized { best.sizeAndGuess = sized }
      entries[kept] = best
      kept += 1
      start = end
    }
    entries.removeSubrange(kept...)
  }

  private struct Rank {
    var untyped: Bool
    var local: Bool
    var underscores: Int
    var length: Int
    var name: String

    func precedes(_ other: Rank) -> Bool {
      if untyped != other.untyped { return !untyped }
      if local != other.local { return !local }
      if underscores != other.underscores { return underscores < other.underscores }
      if length != other.length { return length < other.length }
      return name < other.name
    }
  }

  private func rank(_ entry: Entry) -> Rank {
    var symbol = GElf_Sym()
    var address: GElf_Addr = 0
    let text = dwfl_module_getsym_info(module, entry.index, &symbol, &address, nil, nil, nil)
    let name = SafeText.string(text, maximum: 256) ?? ""
    // glibc's names for its calls to itself.
    let inner = name.hasPrefix("__GI_")
    let mangled = name.hasPrefix("_Z") || name.hasPrefix("_R") || name.hasPrefix("_T0")
    return Rank(
      untyped: Int32(symbol.st_info & 0xf) == STT_NOTYPE, local: Int32(symbol.st_info >> 4) == STB_LOCAL,
      underscores: mangled ? 0 : inner ? .max : name.utf8.prefix { $0 == UInt8(ascii: "_") }.count,
      length: name.utf8.count, name: name)
  }
}

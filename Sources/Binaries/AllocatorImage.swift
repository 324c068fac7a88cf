public import Profile

/// An allocator in one file: which one it is, and its entry points.
public struct AllocatorImage: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, CustomStringConvertible {
    case glibc
    case musl
    case jemalloc
    case tcmalloc
    case mimalloc
    case scudo
    /// AddressSanitizer and its kin: they keep freed blocks and check for leaks themselves.
    case sanitizer
    case unknown

    public var description: String {
      switch self {
      case .unknown: "an allocator that drip has no name for"
      default: rawValue
      }
    }

    /// The C library's own allocator, which any other module's comes before.
    public var isLibc: Bool { self == .glibc || self == .musl }
  }

  /// One function, under all of its names.
  public struct Entry: Sendable, Hashable {
    public var call: AllocatorCall
    /// The names at this address, the plainest first, then those of functions that only jump here.
    public var names: [String]
    /// Virtual address in the file.
    public var address: UInt64
    /// Bytes of code; 0 if the symbol does not say.
    public var size: UInt64

    public init(call: AllocatorCall, names: [String], address: UInt64, size: UInt64) {
      self.call = call
      self.names = names
      self.address = address
      self.size = size
    }
  }

  public var kind: Kind
  /// In the order of AllocatorCall's raw values, then by address.
  public var entries: [Entry]

  public init(kind: Kind, entries: [Entry]) {
    self.kind = kind
    self.entries = entries
  }

  /// Looks for allocation functions that the file defines, in .dynsym and .symtab. Nil if it is no allocator:
  /// that takes a malloc and a free, and a calloc or a realloc (a stray `free` does not make one). The dynamic
  /// linker is none either: glibc's has a malloc for its own first steps (before 2.31 even exported).
  public init?(_ elf: ELFFile) throws(BinaryError) {
    if let soname = elf.soname, soname.hasPrefix("ld-linux") || soname.hasPrefix("ld64") { return nil }
    let symbols = try elf.symbols(named: AllocatorNames.all)
    let kind = AllocatorNames.kind(of: symbols, soname: elf.soname)
    let calls = AllocatorNames.c + (kind.isLibc ? [] : AllocatorNames.replacements)

    // A library's hidden malloc serves that library alone; in a static program there is nobody else, and the
    // linker of a static PIE hides glibc's.
    let isStatic = elf.isStaticProgram
    var entries: [Entry] = []
    for (name, call) in calls {
      // An indirect symbol's address is its resolver's.
      guard let symbol = symbols[name], !symbol.isIndirect, isStatic || !symbol.isLocal else { continue }
      if let known = entries.firstIndex(where: { $0.address == symbol.address }) {
        entries[known].names.append(name)
        entries[known].size = max(entries[known].size, symbol.size)
      } else {
        entries.append(Entry(call: call, names: [name], address: symbol.address, size: symbol.size))
      }
    }
    Self.mergeForwarders(&entries, elf)
    let names = Set(entries.flatMap(\.names))
    guard names.contains("malloc"), names.contains("free"),
      names.contains("calloc") || names.contains("realloc")
    else { return nil }
    self.kind = kind
    self.entries = entries.sorted { ($0.call.rawValue, $0.address) < ($1.call.rawValue, $1.address) }
  }

  /// A function that does nothing but jump to another entry, as `operator delete` does to free, is seen there:
  /// a probe on it would cost a second trap and show every free twice.
  private static func mergeForwarders(_ entries: inout [Entry], _ elf: ELFFile) {
    let jumps = entries.map { elf.jumpTarget(at: $0.address) }
    let imports = elf.importedNames(atStubs: jumps.compactMap(\.self))
    // Only to an entry of the same meaning: a probe there must see the same arguments.
    let next = entries.indices.map { index -> Int? in
      guard let target = jumps[index] else { return nil }
      let following =
        entries.firstIndex { $0.address == target }
        ?? imports[target].flatMap { name in entries.firstIndex { $0.names.contains(name) } }
      return following.flatMap { entries[$0].call == entries[index].call ? $0 : nil }
    }
    var merged: Set<Int> = []
    for index in entries.indices {
      var end = index
      // Forwarders may be chained; a ring of them is left as it is.
      for _ in 0..<4 { end = next[end] ?? end }
      guard end != index, next[end] == nil else { continue }
      entries[end].names += entries[index].names
      merged.insert(index)
    }
    entries = entries.enumerated().filter { !merged.contains($0.offset) }.map(\.element)
  }
}

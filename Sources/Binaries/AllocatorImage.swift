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
    /// It may be left by an exception. Its return must not be watched: the kernel puts an address of its own into
    /// the place of the caller's, at which the search for a handler ends, and the program with it.
    public var mayThrow: Bool

    public init(
      call: AllocatorCall, names: [String], address: UInt64, size: UInt64, mayThrow: Bool = false
    ) {
      self.mayThrow = mayThrow
      self.call = call
      self.names = names
      self.address = address
      self.size = size
    }
  }

  public var kind: Kind
  /// Whether the functions serve only who calls them by an own name, or this file alone, and not whoever calls
  /// malloc: a jemalloc with a prefix, an allocator that the linker has hidden.
  public var isPrivate: Bool
  /// In the order of AllocatorCall's raw values, then by address.
  public var entries: [Entry]

  public init(kind: Kind, isPrivate: Bool = false, entries: [Entry]) {
    self.kind = kind
    self.isPrivate = isPrivate
    self.entries = entries.sorted { ($0.call.rawValue, $0.address) < ($1.call.rawValue, $1.address) }
  }

  /// The file's malloc as other files may call it; nil if it defines none. See `images`.
  public init?(_ elf: ELFFile) throws(BinaryError) {
    guard let image = try Self.images(in: elf).first(where: { !$0.isPrivate }) else { return nil }
    self = image
  }

  /// The allocators that a file defines, by the names in .dynsym, .symtab and MiniDebugInfo: at most one that is
  /// public, which comes first and takes a malloc and a free, and a calloc or a realloc (a stray `free` does not
  /// make one); then private ones. The dynamic linker has none: glibc's has a malloc for its own first steps
  /// (before 2.31 even exported).
  public static func images(in elf: ELFFile) throws(BinaryError) -> [AllocatorImage] {
    if let soname = elf.soname, soname.hasPrefix("ld-linux") || soname.hasPrefix("ld64") { return [] }
    // An indirect symbol's address is its resolver's.
    let symbols = try elf.symbols(named: AllocatorNames.all).filter { !$0.value.isIndirect }
    // A file's hidden malloc serves that file alone; in a static program there is nobody else.
    let isStatic = elf.isStaticProgram
    let visible = isStatic ? symbols : symbols.filter { $0.value.isExported }
    let kind = Self.kind(of: symbols, soname: elf.soname, isStatic: isStatic)

    var images: [AllocatorImage] = []
    var functions = AllocatorNames.c
    let isPublic = isWhole(visible)
    // Hidden, and of an allocator that there is: else it is what some program calls free for itself.
    let isHidden = !isPublic && isWhole(symbols) && !kind.isLibc && kind != .unknown
    if isPublic || isHidden {
      if !kind.isLibc { functions += AllocatorNames.replacements }
      for interface in AllocatorNames.interfaces where interface.kind == kind {
        functions += interface.functions
      }
      let entries = Self.entries(functions, kind.isLibc ? visible : symbols, elf)
      images.append(AllocatorImage(kind: kind, isPrivate: isHidden, entries: entries))
    }
    for interface in AllocatorNames.interfaces where images.first?.kind != interface.kind {
      guard interface.telltales.contains(where: { symbols[$0] != nil }) else { continue }
      let entries = Self.entries(interface.functions, symbols, elf)
      guard entries.contains(where: { $0.call == .free }), entries.contains(where: { $0.call != .free })
      else {
        continue
      }
      images.append(AllocatorImage(kind: interface.kind, isPrivate: true, entries: entries))
    }
    return images
  }

  /// The functions of a file that its user says is an allocator, hidden or not: those that begin with the prefix,
  /// or if it is empty whatever of any allocator is there. Nil without a function that allocates and one that
  /// frees.
  public static func image(in elf: ELFFile, prefix: String) throws(BinaryError) -> AllocatorImage? {
    let interfaces =
      prefix.isEmpty ? AllocatorNames.interfaces : [AllocatorNames.Interface(.unknown, prefix: prefix)]
    let plain = prefix.isEmpty ? AllocatorNames.c + AllocatorNames.replacements : []
    let functions = plain + interfaces.flatMap(\.functions)
    let symbols = try elf.symbols(named: AllocatorNames.all.union(functions.map(\.name)))
      .filter { !$0.value.isIndirect }
    let own = AllocatorNames.interfaces.first { !prefix.isEmpty && $0.prefix == prefix }?.kind
    let kind = own ?? Self.kind(of: symbols, soname: elf.soname, isStatic: elf.isStaticProgram)
    let entries = Self.entries(functions, symbols, elf)
    guard entries.contains(where: { $0.call == .free }), entries.contains(where: { $0.call != .free }) else {
      return nil
    }
    return AllocatorImage(kind: kind, isPrivate: !prefix.isEmpty, entries: entries)
  }

  /// Functions of allocators that the file calls and that no image lists, since drip cannot follow them.
  public static func unfollowedFunctions(calledBy elf: ELFFile) -> [String] {
    elf.importSlots(of: AllocatorNames.unfollowed).keys.sorted()
  }

  private static func isWhole(_ symbols: [String: ELFSymbol]) -> Bool {
    symbols["malloc"] != nil && symbols["free"] != nil
      && (symbols["calloc"] != nil || symbols["realloc"] != nil)
  }

  private static func entries(
    _ functions: [AllocatorNames.Function], _ symbols: [String: ELFSymbol], _ elf: ELFFile
  ) -> [Entry] {
    var entries: [Entry] = []
    for (name, call) in functions {
      guard let symbol = symbols[name] else { continue }
      if let known = entries.firstIndex(where: { $0.address == symbol.address }) {
        if !entries[known].names.contains(name) { entries[known].names.append(name) }
        entries[known].size = max(entries[known].size, symbol.size)
      } else {
        entries.append(Entry(call: call, names: [name], address: symbol.address, size: symbol.size))
      }
    }
    mergeForwarders(&entries, elf)
    entries = withoutFronts(entries, elf)
    // In a static program the thrower is a function of its own.
    if AllocatorNames.throwers.contains(where: { symbols[$0] != nil })
      || !elf.importSlots(of: AllocatorNames.throwers).isEmpty
    {
      for index in entries.indices where !AllocatorNames.throwing.isDisjoint(with: entries[index].names) {
        entries[index].mayThrow = true
      }
    }
    return entries
  }

  /// Takes out the functions that only stand before another one of the allocator, as libstdc++'s `operator new`
  /// before malloc: those of which every way leads into one that is probed as well. What they allocate or free is
  /// seen there, and once. Functions of the C library's names stay; their blocks are known by them.
  private static func withoutFronts(_ entries: [Entry], _ elf: ELFFile) -> [Entry] {
    let plain = Set(AllocatorNames.c.map(\.name))
    let slots = elf.symbolsBySlot()
    var leadsTo: [UInt64: Set<UInt64>] = [:]
    for entry in entries where plain.isDisjoint(with: entry.names) {
      // Of the same kind: a function that frees a block may allocate first, and the reverse.
      let others = entries.filter {
        $0.address != entry.address && ($0.call == .free) == (entry.call == .free)
      }
      let flow = FunctionFlow(
        of: entry.address, in: elf, slots: slots, stoppingAt: Set(others.map(\.address)),
        assumesPointer: entry.call == .free, untilReturn: true)
      if flow.isComplete, flow.returns.isEmpty, !flow.reached.isEmpty {
        leadsTo[entry.address] = flow.reached
      }
    }
    // From the functions that stay backwards: of those that lead into one another in a ring all stay.
    var dropped: Set<UInt64> = []
    while let next = leadsTo.first(where: { $0.value.allSatisfy { leadsTo[$0] == nil } }) {
      dropped.insert(next.key)
      leadsTo[next.key] = nil
    }
    return entries.filter { !dropped.contains($0.address) }
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

extension AllocatorImage {
  /// Which allocator the unprefixed malloc of a file belongs to.
  static func kind(
    of symbols: [String: ELFSymbol], soname: String?, isStatic: Bool
  ) -> Kind {
    let has = { (name: String) in symbols[name] != nil }
    if AllocatorNames.sanitizers.contains(where: has) { return .sanitizer }
    if has(AllocatorNames.scudo) { return .scudo }
    if has("mallocx") { return .jemalloc }
    // malloc as another name of an allocator's own: that settles it, also in a static program that holds libc.
    let own: [(name: String, kind: Kind)] = [
      ("tc_malloc", .tcmalloc), ("mi_malloc", .mimalloc), ("je_malloc", .jemalloc),
    ]
    if let malloc = symbols["malloc"]?.address,
      let kind = own.first(where: { symbols[$0.name]?.address == malloc })?.kind
    {
      return kind
    }
    // Only then by what else is there: a static program may hold a private allocator beside libc's.
    let libc = libcKind(of: symbols, soname: soname)
    if isStatic, let libc { return libc }
    return own.first { has($0.name) }?.kind ?? libc ?? .unknown
  }

  private static func libcKind(of symbols: [String: ELFSymbol], soname: String?) -> Kind? {
    if AllocatorNames.muslFunctions.contains(where: { symbols[$0] != nil }) { return .musl }
    if symbols["__libc_malloc"] != nil, AllocatorNames.glibcFunctions.contains(where: { symbols[$0] != nil })
    {
      return .glibc
    }
    return soname?.hasPrefix("libc.musl") == true ? .musl : nil
  }
}

public import Profile

/// An allocator's entry points in one file.
public struct AllocatorImage: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable {
    case glibc
    case musl
    case jemalloc
    case tcmalloc
    case mimalloc
    /// AddressSanitizer and its kin: they check for leaks themselves.
    case sanitizer
    case unknown
  }

  /// One function, under all of its names.
  public struct Entry: Sendable, Hashable {
    public var call: AllocatorCall
    public var names: [String]
    public var address: UInt64
    public var size: UInt64
  }

  public var kind: Kind
  public var entries: [Entry]

  private static let calls: [(name: String, call: AllocatorCall)] = [
    ("malloc", .malloc), ("calloc", .calloc), ("realloc", .realloc), ("reallocarray", .reallocarray),
    ("posix_memalign", .posixMemalign), ("aligned_alloc", .alignedAlloc), ("memalign", .alignedAlloc),
    // Their one argument is the size, like malloc's.
    ("valloc", .malloc), ("pvalloc", .malloc),
    ("free", .free), ("cfree", .free), ("free_sized", .free), ("free_aligned_sized", .free),
  ]

  /// Symbols that only one allocator has.
  private static let telltales: [(name: String, kind: Kind)] = [
    ("__asan_init", .sanitizer), ("__lsan_init", .sanitizer), ("__hwasan_init", .sanitizer),
    ("__msan_init", .sanitizer), ("__tsan_init", .sanitizer), ("mallocx", .jemalloc), ("je_mallocx", .jemalloc),
    ("tc_malloc", .tcmalloc), ("mi_malloc", .mimalloc), ("__libc_malloc_impl", .musl), ("gnu_get_libc_version", .glibc),
    ("__libc_start_call_main", .glibc), ("_int_malloc", .glibc),
  ]

  /// Looks for the C allocation functions; nil if the file defines no malloc and free of its own.
  public init?(_ elf: ELFFile) throws(BinaryError) {
    let names = Set(Self.calls.map(\.name) + Self.telltales.map(\.name))
    let symbols = try elf.functions(named: names)
    let kinds = Set(symbols.map(\.name))
    kind = Self.telltales.first { kinds.contains($0.name) }?.kind ?? .unknown
    if kind == .unknown, elf.interpreter == nil, elf.sharedObjectName?.contains("musl") == true { kind = .musl }

    var entries: [Entry] = []
    for (name, call) in Self.calls {
      for symbol in symbols where symbol.name == name && !symbol.isIndirect {
        if let index = entries.firstIndex(where: { $0.address == symbol.address }) {
          if !entries[index].names.contains(name) { entries[index].names.append(name) }
        } else {
          entries.append(Entry(call: call, names: [name], address: symbol.address, size: symbol.size))
        }
      }
    }
    let defined = Set(entries.map(\.call))
    guard defined.contains(.malloc), defined.contains(.free) else { return nil }
    self.entries = entries
  }
}

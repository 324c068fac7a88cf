import Profile

/// The names that allocators and their functions are known by.
enum AllocatorNames {
  /// The C functions, plainest names first.
  static let c: [(name: String, call: AllocatorCall)] = [
    ("malloc", .malloc), ("calloc", .calloc), ("realloc", .realloc), ("reallocarray", .reallocarray),
    ("posix_memalign", .posixMemalign), ("aligned_alloc", .alignedAlloc), ("memalign", .alignedAlloc),
    // Their one argument is the size, like malloc's.
    ("valloc", .malloc), ("pvalloc", .malloc),
    ("free", .free), ("cfree", .free), ("free_sized", .free), ("free_aligned_sized", .free),
  ]

  /// What replacement allocators define beside the C functions, and do not route through them. The size is the
  /// first argument of every `new`, the block that of every `delete`. (libstdc++'s own call malloc and free, so
  /// they are no entry points where libc is the allocator.)
  static let replacements: [(name: String, call: AllocatorCall)] = {
    let new = ["_Znwm", "_Znam"].flatMap { name in
      ["", "RKSt9nothrow_t", "St11align_val_t", "St11align_val_tRKSt9nothrow_t"].map { (name + $0, .malloc) }
        as [(name: String, call: AllocatorCall)]
    }
    let delete = ["_ZdlPv", "_ZdaPv"].flatMap { name in
      ["", "m", "RKSt9nothrow_t", "St11align_val_t", "mSt11align_val_t", "St11align_val_tRKSt9nothrow_t"]
        .map { (name + $0, .free) } as [(name: String, call: AllocatorCall)]
    }
    // jemalloc's own interface; the flags come last.
    let jemalloc: [(name: String, call: AllocatorCall)] = [
      ("mallocx", .malloc), ("rallocx", .realloc), ("dallocx", .free), ("sdallocx", .free),
    ]
    // The C functions again, under the allocator's own prefix.
    let prefixed = ["je_", "tc_", "mi_"].flatMap { prefix in c.map { (prefix + $0.name, $0.call) } }
    return new + delete + jemalloc + prefixed
  }()

  /// Functions that only one allocator has. The order matters: a static program holds libc's beside those of the
  /// allocator that replaces it.
  private static let telltales: [(name: String, kind: AllocatorImage.Kind)] = [
    ("__asan_init", .sanitizer), ("__lsan_init", .sanitizer), ("__hwasan_init", .sanitizer),
    ("__msan_init", .sanitizer), ("__tsan_init", .sanitizer), ("__scudo_print_stats", .scudo),
    ("mallocx", .jemalloc), ("je_mallocx", .jemalloc), ("je_malloc", .jemalloc), ("tc_malloc", .tcmalloc),
    ("mi_malloc", .mimalloc),
    // musl: hidden functions where .symtab is there, and one of its dynamic linker's stages, which is exported.
    ("__malloc_donate", .musl), ("__libc_malloc_impl", .musl), ("__dls3", .musl),
  ]

  /// With `__libc_malloc`, which other allocators define as an alias too, these make glibc. A static program has
  /// only what it uses.
  private static let glibcFunctions = [
    "gnu_get_libc_version", "__libc_setup_tls", "_int_malloc", "__libc_start_call_main",
  ]

  static let all = Set(
    c.map(\.name) + replacements.map(\.name) + telltales.map(\.name) + glibcFunctions + ["__libc_malloc"])

  static func kind(of symbols: [String: ELFSymbol], soname: String?) -> AllocatorImage.Kind {
    if let kind = telltales.first(where: { symbols[$0.name] != nil })?.kind { return kind }
    if symbols["__libc_malloc"] != nil, glibcFunctions.contains(where: { symbols[$0] != nil }) {
      return .glibc
    }
    return soname?.hasPrefix("libc.musl") == true ? .musl : .unknown
  }
}

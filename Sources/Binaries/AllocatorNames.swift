import Profile

/// The names that allocators and their functions are known by.
enum AllocatorNames {
  typealias Function = (name: String, call: AllocatorCall)

  /// The C functions, plainest names first.
  static let c: [Function] = [
    ("malloc", .malloc), ("calloc", .calloc), ("realloc", .realloc), ("reallocarray", .reallocarray),
    ("posix_memalign", .posixMemalign), ("aligned_alloc", .alignedAlloc), ("memalign", .alignedAlloc),
    // Their one argument is the size, like malloc's.
    ("valloc", .malloc), ("pvalloc", .malloc),
    ("free", .free), ("cfree", .free), ("free_sized", .free), ("free_aligned_sized", .free),
  ]

  /// C++'s operators. The size is the first argument of every `new`, the block that of every `delete`.
  static let operators: [Function] = {
    let new = ["_Znwm", "_Znam"].flatMap { name in
      [
        "", "RKSt9nothrow_t", "St11align_val_t", "St11align_val_tRKSt9nothrow_t",
        // The forms of newer tcmallocs that are told how often the block will be used.
        "12__hot_cold_t", "RKSt9nothrow_t12__hot_cold_t", "St11align_val_t12__hot_cold_t",
        "St11align_val_tRKSt9nothrow_t12__hot_cold_t",
      ].map { (name + $0, .malloc) } as [Function]
    }
    let delete = ["_ZdlPv", "_ZdaPv"].flatMap { name in
      ["", "m", "RKSt9nothrow_t", "St11align_val_t", "mSt11align_val_t", "St11align_val_tRKSt9nothrow_t"]
        .map { (name + $0, .free) } as [Function]
    }
    return new + delete
  }()

  /// Operators and their like that end with an exception when there is no memory.
  static let throwing: Set<String> = [
    "_Znwm", "_Znam", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t", "_Znwm12__hot_cold_t",
    "_Znam12__hot_cold_t", "_ZnwmSt11align_val_t12__hot_cold_t", "_ZnamSt11align_val_t12__hot_cold_t",
    "tc_new", "tc_newarray", "tc_new_aligned", "tc_newarray_aligned",
  ]

  /// What such a function calls for that, in the end. mimalloc, which is C, ends the program instead.
  static let throwers: Set<String> = ["__cxa_throw", "_ZSt17__throw_bad_allocv"]

  /// glibc's second names of its C functions, which replacements define lest somebody reaches glibc's heap by
  /// them.
  private static let libcAliases: [Function] = [
    ("__libc_malloc", .malloc), ("__libc_calloc", .calloc), ("__libc_realloc", .realloc),
    ("__libc_memalign", .alignedAlloc), ("__posix_memalign", .posixMemalign), ("__libc_valloc", .malloc),
    ("__libc_pvalloc", .malloc), ("__libc_free", .free), ("__libc_cfree", .free),
  ]

  /// What replacement allocators define beside the C functions under names that everybody knows. (libstdc++'s
  /// operators call malloc and free, so they are no entry points where libc is the allocator.)
  static let replacements: [Function] = operators + libcAliases + [("sdallocx", .free)]

  /// The functions of jemalloc (5.3, jemalloc(3)) that do not follow the C library's; the flags come last. xallocx
  /// is left out: it resizes in place and returns a size.
  private static let jemalloc: [Function] = [
    ("mallocx", .malloc), ("rallocx", .realloc), ("dallocx", .free), ("sdallocx", .free),
  ]

  /// gperftools' own names (gperftools/tcmalloc.h, 2.10), without the prefix.
  private static let tcmalloc: [Function] = {
    let new = ["new", "newarray"].flatMap { name in
      ["", "_nothrow", "_aligned", "_aligned_nothrow"].map { (name + $0, .malloc) } as [Function]
    }
    let delete = ["delete", "deletearray"].flatMap { name in
      ["", "_sized", "_nothrow", "_aligned", "_sized_aligned", "_aligned_nothrow"]
        .map { (name + $0, .free) } as [Function]
    }
    return [("malloc_skip_new_handler", .malloc)] + new + delete
  }()

  /// mimalloc's own names (mimalloc.h, 2.0), without the prefix. Its functions take the size before the alignment,
  /// and what comes after the size does not matter here. In the heap functions that stand here the size is the
  /// second argument, as in aligned_alloc; those where it comes third are left out, and so are strdup and its kin,
  /// which are not told a size.
  private static let mimalloc: [Function] = [
    ("zalloc", .malloc), ("malloc_small", .malloc), ("zalloc_small", .malloc), ("mallocn", .calloc),
    ("malloc_aligned", .malloc), ("malloc_aligned_at", .malloc), ("zalloc_aligned", .malloc),
    ("zalloc_aligned_at", .malloc), ("calloc_aligned", .calloc), ("calloc_aligned_at", .calloc),
    ("new", .malloc), ("new_aligned", .malloc), ("new_nothrow", .malloc), ("new_aligned_nothrow", .malloc),
    ("new_n", .calloc),
    ("heap_malloc", .alignedAlloc), ("heap_zalloc", .alignedAlloc), ("heap_malloc_small", .alignedAlloc),
    ("heap_malloc_aligned", .alignedAlloc), ("heap_malloc_aligned_at", .alignedAlloc),
    ("heap_zalloc_aligned", .alignedAlloc), ("heap_zalloc_aligned_at", .alignedAlloc),
    ("reallocf", .realloc), ("rezalloc", .realloc), ("expand", .realloc), ("_expand", .realloc),
    ("realloc_aligned", .realloc), ("realloc_aligned_at", .realloc), ("rezalloc_aligned", .realloc),
    ("rezalloc_aligned_at", .realloc), ("new_realloc", .realloc),
    ("reallocn", .reallocarray), ("recalloc", .reallocarray), ("recalloc_aligned", .reallocarray),
    ("recalloc_aligned_at", .reallocarray), ("aligned_recalloc", .reallocarray),
    ("aligned_offset_recalloc", .reallocarray), ("new_reallocn", .reallocarray),
    ("free_size", .free), ("free_size_aligned", .free), ("free_aligned", .free),
  ]

  /// Functions of mimalloc that drip does not follow: the size comes third, or is not told at all, or blocks go
  /// without a free.
  static let unfollowed: Set<String> = [
    "mi_strdup", "mi_strndup", "mi_realpath", "mi_reallocarr", "mi_heap_strdup", "mi_heap_strndup",
    "mi_heap_realpath", "mi_heap_calloc", "mi_heap_mallocn", "mi_heap_calloc_aligned", "mi_heap_realloc",
    "mi_heap_reallocn", "mi_heap_reallocf", "mi_heap_rezalloc", "mi_heap_recalloc",
    "mi_heap_realloc_aligned", "mi_heap_rezalloc_aligned", "mi_heap_recalloc_aligned", "mi_heap_destroy",
  ]

  /// An allocator's own functions, which are its own whoever answers to `malloc`.
  struct Interface: Sendable {
    var kind: AllocatorImage.Kind
    /// Before the names of the C functions.
    var prefix: String
    /// All of them, with the prefix.
    var functions: [Function]
    /// Functions that no other program's function of the same name would have beside it; one of them must be
    /// there.
    var telltales: [String]

    init(_ kind: AllocatorImage.Kind, prefix: String) {
      self.kind = kind
      self.prefix = prefix
      let (own, telltales): ([Function], [String]) =
        switch kind {
        case .jemalloc:
          (AllocatorNames.jemalloc, ["mallocx", "sdallocx", "dallocx", "rallocx", "mallctl", "mallctlbymib"])
        case .tcmalloc: (AllocatorNames.tcmalloc, ["version", "malloc_size", "set_new_mode", "nallocx"])
        case .mimalloc:
          (AllocatorNames.mimalloc, ["malloc_aligned", "heap_malloc", "usable_size", "heap_new", "version"])
        default: (AllocatorNames.jemalloc + AllocatorNames.mimalloc + AllocatorNames.tcmalloc, [])
        }
      // jemalloc's own names stand unprefixed beside the C functions in the libraries of distributions.
      let c = prefix.isEmpty ? [] : AllocatorNames.c
      functions = (c + own).map { (prefix + $0.name, $0.call) }
      self.telltales = telltales.map { prefix + $0 }
    }
  }

  /// jemalloc's come with the prefixes that its packagers choose: of old, of Rust's crates, of Arrow's libraries.
  static let interfaces: [Interface] = [
    Interface(.jemalloc, prefix: ""), Interface(.jemalloc, prefix: "je_"),
    Interface(.jemalloc, prefix: "_rjem_"), Interface(.jemalloc, prefix: "je_arrow_"),
    Interface(.tcmalloc, prefix: "tc_"), Interface(.mimalloc, prefix: "mi_"),
  ]

  static let sanitizers = ["__asan_init", "__lsan_init", "__hwasan_init", "__msan_init", "__tsan_init"]
  static let scudo = "__scudo_print_stats"

  /// musl: hidden functions where .symtab is there, and one of its dynamic linker's stages, which is exported.
  static let muslFunctions = ["__malloc_donate", "__libc_malloc_impl", "__dls3"]

  /// With `__libc_malloc`, which other allocators define as an alias too, these make glibc. A static program has
  /// only what it uses.
  static let glibcFunctions = [
    "gnu_get_libc_version", "__libc_setup_tls", "_int_malloc", "__libc_start_call_main",
  ]

  static let all = Set(
    c.map(\.name) + replacements.map(\.name) + interfaces.flatMap { $0.functions.map(\.name) + $0.telltales }
      + sanitizers + throwers + [scudo] + muslFunctions + glibcFunctions)
}

/// What an allocator entry point does, and so which of its arguments matter. The raw values are part
/// of the ABI with the BPF programs (bpf/include/abi.h, `drip_op`).
public enum AllocatorCall: UInt8, Sendable, Hashable, CaseIterable {
  /// `void *malloc(size)`
  case malloc = 1
  /// `void *calloc(count, size)`
  case calloc = 2
  /// `void *realloc(pointer, size)`
  case realloc = 3
  /// `void *reallocarray(pointer, count, size)`
  case reallocarray = 4
  /// `void *aligned_alloc(alignment, size)`, and memalign
  case alignedAlloc = 5
  /// `int posix_memalign(void **out, alignment, size)`
  case posixMemalign = 6
  /// `void free(pointer)`
  case free = 7

  /// How many integer arguments (rdi, rsi, rdx in this order) the call needs intact at its probe.
  public var argumentCount: Int {
    switch self {
    case .malloc, .free: 1
    case .calloc, .realloc, .alignedAlloc: 2
    case .reallocarray, .posixMemalign: 3
    }
  }
}

/// What a function of the C library does to the address space. The raw values are part of the ABI with the BPF programs
/// (bpf/include/abi.h, `drip_mapping_call`).
public enum MappingCall: UInt8, Sendable, Hashable, CaseIterable {
  /// `void *mmap(address, length, …)`
  case mmap = 16
  /// `int munmap(address, length)`
  case munmap = 17
  /// `void *mremap(address, length, newLength, …)`
  case mremap = 18
  /// `int brk(address)`
  case brk = 19

  /// How many integer arguments the call needs intact at its probe.
  public var argumentCount: Int {
    switch self {
    case .brk: 1
    case .mmap, .munmap: 2
    case .mremap: 3
    }
  }
}

/// What kind of memory is watched. The kinds are never added up: what an allocator maps holds what it hands out.
public enum MemoryDomain: String, Sendable, Hashable, CaseIterable {
  /// What allocators hand out.
  case heap
  /// What is mapped from the kernel.
  case mmap
  case all

  public var includesHeap: Bool { self != .mmap }
  public var includesMappings: Bool { self != .heap }
}

/// Who has mapped a piece of memory, as its call stack says.
public enum MappingOrigin: String, Sendable, Hashable, CaseIterable {
  case program
  /// An allocator, for the blocks that it hands out or keeps: no leak beside those.
  case allocator
  /// The stack of a thread, which the C library may keep for the next one.
  case threadStack = "thread_stack"
  /// The dynamic linker, for a library.
  case loader

  /// From the frames of a stack, innermost first. `allocators` are the names of the allocators' functions.
  public init(_ frames: [Frame], allocators: Set<String>) {
    let names = frames.compactMap(\.function)
    if names.contains(where: { allocators.contains($0) }) {
      self = .allocator
    } else if names.contains(where: { $0.hasPrefix("pthread_create") || $0.hasPrefix("__pthread_create") }) {
      self = .threadStack
    } else if frames.contains(where: { frame in
      let module = frame.module?.split(separator: "/").last ?? ""
      return module.hasPrefix("ld-linux") || module.hasPrefix("ld-musl") && names.contains("dlopen")
    }) {
      self = .loader
    } else {
      self = .program
    }
  }
}

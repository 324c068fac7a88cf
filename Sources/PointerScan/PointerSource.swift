/// Where a pointer may stand that keeps an object alive, what tells a reader most first.
public enum PointerSource: UInt8, Sendable, Hashable, CaseIterable {
  /// Initialised or zeroed data (.data, .bss) of a program or library, or another private mapping of a file.
  case data = 1
  /// A thread's static thread-local storage.
  case threadLocal
  /// A thread's stack, from its stack pointer upwards.
  case stack
  /// A register of a thread.
  case register
  /// Memory that is shared with other processes.
  case shared
  /// The kernel keeps it for the process: of an epoll instance, or a timer.
  case kernel
  /// Another live object that drip knows, and of which nobody has asked what leads to it.
  case object
  /// Anonymous memory that belongs to no object that drip knows: objects from before the attach, freed blocks with
  /// what is left in them, the allocator's own data, which the C library's is taken for, memory that the program has
  /// mapped itself.
  case unknownHeap
}

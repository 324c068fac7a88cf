public import Binaries

/// Why there is nothing to probe. Every description says what to do about it.
public enum PlanError: Error, Sendable, Hashable, CustomStringConvertible {
  /// No module defines malloc and free. Static programs keep them only in .symtab.
  case noAllocator(executable: String, isStatic: Bool, isStripped: Bool)
  case sanitizer(path: String)
  /// malloc or free takes no probe.
  case unprobeable(path: String, function: String, why: String)
  /// The allocator's file was found, and could then not be read.
  case unreadable(path: String, BinaryError)

  public var description: String {
    switch self {
    case .noAllocator(let executable, isStatic: true, isStripped: true):
      "\(executable) is a static program without a symbol table, so drip cannot find its allocator. Run a "
        + "build that is not stripped."
    case .noAllocator(let executable, isStatic: true, isStripped: false):
      "\(executable) is a static program without an allocator that drip knows: it defines no malloc and free. "
        + "Programs with a runtime of their own (Go) need that runtime's profiler."
    case .noAllocator(let executable, isStatic: false, _):
      "Neither \(executable) nor its libraries define malloc and free. If the program has only just started, "
        + "try again."
    case .sanitizer(let path):
      "\(path) replaces the allocator by a sanitizer's, which keeps freed blocks and finds leaks itself. Build "
        + "the program without it, or read the sanitizer's own report."
    case .unprobeable(let path, let function, let why):
      "\(function) in \(path) cannot be probed: \(why). Run the program with another allocator."
    case .unreadable(let path, let error):
      "The allocator's file \(path) cannot be read: \(error). If it was replaced by an upgrade, restart the "
        + "program."
    }
  }
}

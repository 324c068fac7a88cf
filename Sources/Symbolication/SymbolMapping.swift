/// One line of a process's memory map, as far as symbols need it.
public struct SymbolMapping: Sendable, Hashable {
  /// First address, and the first one after the mapping.
  public var start: UInt64
  public var end: UInt64
  /// Where in the file the mapping begins.
  public var fileOffset: UInt64
  public var executable: Bool
  /// The path as /proc/PID/maps shows it, with " (deleted)" if so; empty for anonymous memory.
  public var path: String
  /// The file's device and its number there, as far as they are known: a new file may have an old path.
  public var device: UInt64
  public var inode: UInt64

  public init(
    start: UInt64, end: UInt64, fileOffset: UInt64, executable: Bool, path: String, device: UInt64 = 0,
    inode: UInt64 = 0
  ) {
    self.start = start
    self.end = end
    self.fileOffset = fileOffset
    self.executable = executable
    self.path = path
    self.device = device
    self.inode = inode
  }

  /// True for a file's code.
  var isCode: Bool { executable && filePath != nil }

  /// The path of a mapped file without the kernel's mark for deleted ones; nil for memory without a file.
  var filePath: String? {
    guard path.hasPrefix("/") else { return nil }
    let mark = " (deleted)"
    return path.hasSuffix(mark) ? String(path.dropLast(mark.count)) : path
  }

  /// Memory that a runtime may have written code to: without a file, or with one that exists for its pages only.
  var mayBeGenerated: Bool {
    executable
      && (path.isEmpty || path == "/dev/zero (deleted)" || path.hasPrefix("/memfd:")
        || path.hasPrefix("[anon") || path == "[heap]")
  }

  func overlaps(_ other: SymbolMapping) -> Bool { start < other.end && other.start < end }
}

/// A mapped file that could not be read, so that its frames stay without names.
public struct UnreadableModule: Sendable, Hashable {
  /// The path as the target sees it.
  public var path: String
  /// Why, in a few words.
  public var reason: String

  public init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }
}

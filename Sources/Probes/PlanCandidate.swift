public import Binaries

/// A file of the target that may hold its allocator.
public struct PlanCandidate: Sendable {
  /// A path that opens the very file, also across mount namespaces.
  public var path: String
  /// The path as the target sees it.
  public var displayPath: String
  /// The allocators that the file defines; at most one of them is public.
  public var images: [AllocatorImage]
  public var elf: ELFFile
  /// The program itself, which comes first when the dynamic linker looks a symbol up.
  public var isExecutable: Bool
  /// Whether the C library's own calls of malloc are known to lead into this file. That is how the dynamic linker
  /// has really bound the name; where nothing is known of any candidate, the order of looking up must tell.
  public var isBound: Bool

  public init(
    path: String, displayPath: String, images: [AllocatorImage], elf: ELFFile, isExecutable: Bool,
    isBound: Bool = false
  ) {
    self.path = path
    self.displayPath = displayPath
    self.images = images
    self.elf = elf
    self.isExecutable = isExecutable
    self.isBound = isBound
  }

  /// The allocator that other files may call as malloc; nil if the file defines none.
  public var image: AllocatorImage? { images.first { !$0.isPrivate } }

  /// The C library, also one whose allocator has no telltale symbol.
  public var isLibc: Bool {
    if image?.kind.isLibc == true { return true }
    guard let soname = elf.soname else { return false }
    return soname == "libc.so" || soname.hasPrefix("libc.so.") || soname.hasPrefix("libc.musl")
  }

  /// Position in which the dynamic linker looks the file's malloc up: what it is known to have found, the program,
  /// then what is preloaded or linked, then the C library, which nearly every program names last.
  var lookupRank: Int {
    if isBound { return 0 }
    if isExecutable { return 1 }
    return isLibc ? 3 : 2
  }
}

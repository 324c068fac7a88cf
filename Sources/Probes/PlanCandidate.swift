public import Binaries

/// A file of the target that may hold its allocator.
public struct PlanCandidate: Sendable {
  /// A path that opens the very file, also across mount namespaces.
  public var path: String
  /// The path as the target sees it.
  public var displayPath: String
  /// Nil if the file defines no allocator.
  public var image: AllocatorImage?
  public var elf: ELFFile
  /// The program itself, which comes first when the dynamic linker looks a symbol up.
  public var isExecutable: Bool

  public init(path: String, displayPath: String, image: AllocatorImage?, elf: ELFFile, isExecutable: Bool) {
    self.path = path
    self.displayPath = displayPath
    self.image = image
    self.elf = elf
    self.isExecutable = isExecutable
  }

  /// The C library, also one whose allocator has no telltale symbol.
  var isLibc: Bool {
    if image?.kind.isLibc == true { return true }
    guard let soname = elf.soname else { return false }
    return soname == "libc.so" || soname.hasPrefix("libc.so.") || soname.hasPrefix("libc.musl")
  }

  /// Position in which the dynamic linker looks the file's malloc up: the program, then what is preloaded or
  /// linked, then the C library, which nearly every program names last.
  var lookupRank: Int {
    if isExecutable { return 0 }
    return isLibc ? 2 : 1
  }
}

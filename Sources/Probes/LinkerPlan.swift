import Binaries

/// Where the dynamic linker tells that a library comes or goes: the function that it calls for debuggers, named by the
/// protocol of <link.h> (`r_debug.r_brk`), `_dl_debug_state` in glibc and musl.
public struct LinkerPlan: Sendable, Hashable {
  /// A path that opens the very file, also across mount namespaces.
  public var path: String
  /// Offset of the function in the file in bytes.
  public var fileOffset: UInt64

  public init(path: String, fileOffset: UInt64) {
    self.path = path
    self.fileOffset = fileOffset
  }

  private static let hook = "_dl_debug_state"

  /// The hook of the first file that has it; nil for programs without a dynamic linker.
  public static func make(candidates: [PlanCandidate]) -> LinkerPlan? {
    for candidate in candidates where candidate.isLibc || candidate.elf.soname?.hasPrefix("ld") == true {
      guard let symbol = try? candidate.elf.symbols(named: [hook])[hook],
        let offset = candidate.elf.fileOffset(ofAddress: symbol.address)
      else { continue }
      return LinkerPlan(path: candidate.path, fileOffset: offset)
    }
    return nil
  }
}

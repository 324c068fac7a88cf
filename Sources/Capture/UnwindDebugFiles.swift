import Binaries
import CSymbolShims
import Glibc

/// The separate debug files of one process's code, as far as they hold call frame information: programs in C that were
/// compiled without unwind tables have it nowhere else. Looked for where the process would find them, in its own mount
/// namespace, then in the host's debug directory; never asked of a server, for a walk cannot wait.
struct UnwindDebugFiles: ~Copyable {
  private let root: CInt

  init(pid: Int32) {
    root = Glibc.open("/proc/\(pid)/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  }

  deinit { if root >= 0 { close(root) } }

  /// The debug file of a mapped file that has no .debug_frame of its own; nil if there is none, or none with such a
  /// section. `refused` gets a sentence about each that is of another build.
  borrowing func find(_ elf: ELFFile, path: String, refused: inout [String]) -> ELFFile? {
    guard !elf.hasDebugFrame else { return nil }
    let candidates = DebugFile.candidates(of: elf, path: path)
    for candidate in candidates {
      if root >= 0, let file = Self.usable(drip_open_in_root(root, candidate), candidate, elf, path, &refused)
      {
        return file
      }
    }
    // Of the host's tree only what its administrator owns, whatever the process's paths are.
    for candidate in candidates
    where candidate.hasPrefix(DebugFile.directory) && !candidate.contains("/../") {
      if let file = Self.usable(drip_open_regular(AT_FDCWD, candidate), candidate, elf, path, &refused) {
        return file
      }
    }
    return nil
  }

  /// A file of the process by its path there; links do not lead out of its tree.
  borrowing func open(_ path: String) -> FileBytes? {
    guard root >= 0 else { return nil }
    let descriptor = drip_open_in_root(root, path)
    return descriptor < 0 ? nil : try? FileBytes(descriptor: descriptor, path: path)
  }

  private static func usable(
    _ descriptor: CInt, _ candidate: String, _ elf: ELFFile, _ path: String, _ refused: inout [String]
  ) -> ELFFile? {
    guard descriptor >= 0, let bytes = try? FileBytes(descriptor: descriptor, path: candidate),
      let debug = try? ELFFile(bytes), debug.hasDebugFrame
    else { return nil }
    switch DebugFile.match(debug, elf) {
    case .same: return debug
    case .otherBuild:
      let sentence =
        "\(path): its debug file \(candidate) is of another build, its call frame information is not used"
      if !refused.contains(sentence) { refused.append(sentence) }
      return nil
    case .unknown: return nil
    }
  }
}

internal import CElfutils
internal import Glibc

/// The file that dwz moved shared debug information to (.gnu_debugaltlink).
///
/// libdw would open it by the name that stands in the target's file, whatever lies there, and block on a
/// pipe. So it is opened here beforehand, and debug information whose second half is missing is left
/// alone.
final class SupplementaryFile {
  private let descriptor: Int32
  private let dwarf: OpaquePointer

  /// Gives debug information its second file; nil if it needs none.
  init?(for main: OpaquePointer, target: TargetFiles) throws(OpenFailure) {
    var name: UnsafePointer<CChar>?
    var bytes: UnsafeRawPointer?
    let count = dwelf_dwarf_gnu_debugaltlink(main, &name, &bytes)
    if count == 0 { return nil }
    guard count > 1, count <= 64, let bytes else { throw OpenFailure("broken link to a supplementary file") }
    let buildID = Array(UnsafeRawBufferPointer(start: bytes, count: count))
    let path = SafeText.string(name, maximum: 4096)
    guard let file = Self.search(buildID, path, target) else { throw OpenFailure("no supplementary file") }
    guard let other = dwarf_begin(file.descriptor, DWARF_C_READ) else {
      throw OpenFailure("unreadable supplementary file")
    }
    descriptor = file.release()
    dwarf = other
    dwarf_setalt(main, other)
  }

  /// libdw does not own what it was given. The main file is closed before this is.
  deinit {
    dwarf_end(dwarf)
    close(descriptor)
  }

  private static func search(_ buildID: [UInt8], _ path: String?, _ target: TargetFiles) -> OpenFile? {
    let wanted = DebugFileSearch.Wanted(buildID: buildID)
    let named = path.flatMap { $0.hasPrefix("/usr/lib/debug/") && !$0.contains("..") ? $0 : nil }
    for candidate in [DebugFileSearch.buildIDPath(buildID), named].compactMap({ $0 }) {
      if let file = target.openInRoot(candidate), wanted.matches(file) { return file }
      if let file = TargetFiles.openOnHost(candidate), wanted.matches(file) { return file }
    }
    if let file = DebugServers.find(buildID), wanted.matches(file) { return file }
    return nil
  }
}

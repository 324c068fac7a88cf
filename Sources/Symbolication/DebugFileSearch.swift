internal import CElfutils
internal import CSymbolShims
internal import Glibc

/// Finds separate debug files: first where the target would find them, in its own mount namespace, then
/// in the host's debug directory, at last with the debuginfod servers that the user names.
///
/// libdwfl's own search opens paths made from the target's file names, where a pipe could block it for
/// ever, and asks servers in a way of its own; so it is never called.
enum DebugFileSearch {
  /// libdwfl keeps the pointer, so the table lives as long as the program. Written once.
  nonisolated(unsafe) static let callbacks: UnsafeMutablePointer<Dwfl_Callbacks> = {
    let table = UnsafeMutablePointer<Dwfl_Callbacks>.allocate(capacity: 1)
    table.initialize(to: Dwfl_Callbacks())
    // Every module is reported with its file.
    table.pointee.find_elf = { _, _, _, _, _, _ in -1 }
    table.pointee.find_debuginfo = { module, userData, _, _, file, link, crc, result in
      DebugFileSearch.find(module, userData?.pointee, file, link, crc, result, asksServers: true)
    }
    return table
  }()

  /// The descriptor of a module's debug file, or -1; `target` is a `TargetFiles`, `result` gets the path.
  static func find(
    _ module: OpaquePointer?, _ target: UnsafeMutableRawPointer?,
    _ file: UnsafePointer<CChar>?, _ link: UnsafePointer<CChar>?, _ crc: UInt32,
    _ result: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, asksServers: Bool
  ) -> Int32 {
    var bias: GElf_Addr = 0
    let linkName = SafeText.string(link, maximum: 255).flatMap { $0.contains("/") || $0.isEmpty ? nil : $0 }
    guard let module, let elf = dwfl_module_getelf(module, &bias), let target else { return -1 }
    let files = Unmanaged<TargetFiles>.fromOpaque(target).takeUnretainedValue()
    let wanted = Wanted(buildID: SymbolFile.buildID(of: elf), crc: linkName == nil ? nil : crc)
    let path = SafeText.string(file, maximum: 4096) ?? ""
    let candidates = candidates(path: path, link: linkName, buildID: wanted.buildID)
    for candidate in candidates {
      guard let found = files.openInRoot(candidate), wanted.matches(found) else { continue }
      result?.pointee = strdup(candidate)
      return found.release()
    }
    // Of the host's tree only what its administrator owns, whatever the target's paths are.
    for candidate in candidates where candidate.hasPrefix("/usr/lib/debug/") && !candidate.contains("/../") {
      guard let found = TargetFiles.openOnHost(candidate), wanted.matches(found) else { continue }
      result?.pointee = strdup(candidate)
      return found.release()
    }
    guard asksServers, let buildID = wanted.buildID, let found = DebugServers.find(buildID),
      wanted.matches(found)
    else {
      return -1
    }
    result?.pointee = strdup("/debuginfod/" + SymbolFile.hex(buildID))
    return found.release()
  }

  private static func candidates(path: String, link: String?, buildID: [UInt8]?) -> [String] {
    var result: [String] = []
    if let buildID, let path = buildIDPath(buildID) { result.append(path) }
    if let link, let slash = path.lastIndex(of: "/") {
      let directory = path[...slash]
      result += [directory + link, directory + ".debug/" + link, "/usr/lib/debug" + directory + link]
    }
    return result
  }

  static func buildIDPath(_ id: [UInt8]) -> String? {
    guard id.count > 1 else { return nil }
    let hex = SymbolFile.hex(id)
    return "/usr/lib/debug/.build-id/" + hex.prefix(2) + "/" + hex.dropFirst(2) + ".debug"
  }

  /// What makes a file the right one: the build id, or for files without one the checksum in the link.
  struct Wanted {
    var buildID: [UInt8]?
    var crc: UInt32?

    func matches(_ file: borrowing OpenFile) -> Bool {
      guard let elf = elf_begin(file.descriptor, ELF_C_READ_MMAP, nil) else { return false }
      defer { elf_end(elf) }
      guard elf_kind(elf) == ELF_K_ELF else { return false }
      if let buildID, let found = SymbolFile.buildID(of: elf) {
        return buildID == found && hasMore(elf)
      }
      guard let crc else { return false }
      var found: UInt32 = 0
      return drip_file_crc32(file.descriptor, &found) == 0 && found == crc
    }

    /// A link may name the very file that it stands in, or another stripped copy of it.
    private func hasMore(_ elf: OpaquePointer) -> Bool {
      var section = elf_nextscn(elf, nil)
      while let current = section {
        var header = GElf_Shdr()
        if gelf_getshdr(current, &header) != nil, header.sh_type == SHT_SYMTAB { return true }
        var names = 0
        if elf_getshdrstrndx(elf, &names) == 0,
          let name = SafeText.string(elf_strptr(elf, names, Int(header.sh_name)), maximum: 32),
          name == ".debug_info" || name == ".zdebug_info"
        {
          return true
        }
        section = elf_nextscn(elf, current)
      }
      return false
    }
  }
}

internal import CElfutils
internal import CSymbolShims
internal import Glibc

/// Finds separate debug files: first where the target would find them, in its own mount namespace, then
/// in the host's debug directory.
///
/// libdwfl's own search opens paths made from the target's file names, where a pipe could block it for
/// ever; so it is only asked for /usr/lib/debug of the host, which the host's administrator owns.
enum DebugFileSearch {
  /// libdwfl keeps the pointer, so the table lives as long as the program. Written once.
  nonisolated(unsafe) static let callbacks: UnsafeMutablePointer<Dwfl_Callbacks> = {
    let path = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: 1)
    path.initialize(to: strdup("/usr/lib/debug"))
    let table = UnsafeMutablePointer<Dwfl_Callbacks>.allocate(capacity: 1)
    table.initialize(to: Dwfl_Callbacks())
    table.pointee.find_elf = dwfl_build_id_find_elf
    table.pointee.find_debuginfo = { module, userData, name, base, file, link, crc, result in
      DebugFileSearch.find(module, userData, name, base, file, link, crc, result)
    }
    table.pointee.debuginfo_path = path
    return table
  }()

  private static func find(
    _ module: OpaquePointer?, _ userData: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    _ name: UnsafePointer<CChar>?, _ base: Dwarf_Addr, _ file: UnsafePointer<CChar>?,
    _ link: UnsafePointer<CChar>?, _ crc: GElf_Word,
    _ result: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
  ) -> Int32 {
    var bias: GElf_Addr = 0
    let linkName = SafeText.string(link, maximum: 255).flatMap { $0.contains("/") || $0.isEmpty ? nil : $0 }
    if let module, let elf = dwfl_module_getelf(module, &bias), let target = userData?.pointee {
      let files = Unmanaged<TargetFiles>.fromOpaque(target).takeUnretainedValue()
      let wanted = Wanted(buildID: SymbolFile.buildID(of: elf), crc: linkName == nil ? nil : crc)
      let path = SafeText.string(file, maximum: 4096) ?? ""
      for candidate in candidates(path: path, link: linkName, buildID: wanted.buildID) {
        guard let found = files.openInRoot(candidate), wanted.matches(found) else { continue }
        result?.pointee = strdup(candidate)
        return found.release()
      }
    }
    guard let linkName else {
      return dwfl_standard_find_debuginfo(module, userData, name, base, file, nil, 0, result)
    }
    return dwfl_standard_find_debuginfo(module, userData, name, base, file, linkName, crc, result)
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

/// The symbol table that some distributions leave in stripped files: an ELF file of its own with a .symtab of the
/// functions that .dynsym lacks, compressed by xz into the section .gnu_debugdata (GDB manual, "MiniDebugInfo").
enum MiniDebugInfo {
  private static let section = ".gnu_debugdata"
  /// Larger sections and contents are not looked at; real ones hold some MiB at most.
  private static let largestSection: UInt64 = 32 << 20
  private static let largestContents = 128 << 20

  /// The embedded file; nil if there is none, or if it is damaged.
  static func read(from elf: ELFFile) -> ELFFile? {
    guard let section = elf.section(named: section), section.size <= largestSection,
      let compressed = try? elf.bytes(at: section.offset, count: Int(section.size)),
      let contents = XZ.decompress(compressed, limit: largestContents)
    else { return nil }
    return try? ELFFile(MemoryBytes(contents))
  }
}

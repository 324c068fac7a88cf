/// A user-space statically defined trace point: one place of a program that was made to be probed, as its
/// compiler left it in `.note.stapsdt` (the version 3 notes of SystemTap's sys/sdt.h, owner "stapsdt", type 3).
public struct USDTNote: Sendable, Hashable {
  public var provider: String
  public var name: String
  /// Virtual address of the instruction to probe, moved to where the file stands now (see `read`).
  public var address: UInt64
  /// Virtual address of the 16-bit counter that the program looks at before it goes to the probe; nil if the
  /// probe is always live. Moved like `address`.
  public var semaphore: UInt64?
  /// Where the arguments stand, as text for `USDTArgument.parse`.
  public var arguments: String

  public init(provider: String, name: String, address: UInt64, semaphore: UInt64?, arguments: String) {
    self.provider = provider
    self.name = name
    self.address = address
    self.semaphore = semaphore
    self.arguments = arguments
  }

  private static let owner = Array("stapsdt\0".utf8)
  private static let kind: UInt32 = 3
  /// Much more than any program has; a hostile file says what it likes.
  private static let largestSection: UInt64 = 16 << 20
  private static let mostNotes = 65_536
  private static let longestText = 4096

  /// All trace points of a file, in the order of its notes. Damage reads as the end of the notes.
  ///
  /// The addresses in a note are those of the link. A tool that moves a file afterwards (prelink) leaves notes
  /// alone, so each of them also says where the linker had put the section `.stapsdt.base`; as far as that
  /// section has moved since, the trace point has.
  public static func read(_ elf: ELFFile) -> [USDTNote] {
    let base = elf.sections.first { $0.name == ".stapsdt.base" }?.address
    var notes: [USDTNote] = []
    for section in elf.sections
    where section.name == ".note.stapsdt" && section.type != ELFFile.Section.noBits {
      guard section.size <= largestSection,
        let bytes = try? elf.bytes(at: section.offset, count: Int(section.size))
      else { continue }
      read(bytes, base: base, into: &notes)
    }
    return notes
  }

  /// The notes of one section's bytes. `base` is the present address of `.stapsdt.base`.
  static func read(_ bytes: [UInt8], base: UInt64?, into notes: inout [USDTNote]) {
    var at = 0
    while notes.count < mostNotes,
      let nameSize = bytes.integer(UInt32.self, at: at),
      let contentSize = bytes.integer(UInt32.self, at: at + 4),
      let kind = bytes.integer(UInt32.self, at: at + 8)
    {
      let name = at + 12
      // Both are padded to four bytes (gABI 5, "Note Section"); 32-bit sizes cannot overflow Int.
      let content = name + (Int(nameSize) + 3) & ~3
      let end = content + Int(contentSize)
      guard end <= bytes.count else { return }
      if kind == Self.kind, bytes[name..<name + Int(nameSize)].elementsEqual(owner),
        let note = USDTNote(bytes[content..<end], base: base)
      {
        notes.append(note)
      }
      at = (end + 3) & ~3
    }
  }

  /// Three addresses, then three strings, each ended by a zero.
  private init?(_ content: ArraySlice<UInt8>, base: UInt64?) {
    let bytes = Array(content)
    guard let address = bytes.integer(UInt64.self, at: 0), let linkBase = bytes.integer(UInt64.self, at: 8),
      let semaphore = bytes.integer(UInt64.self, at: 16)
    else { return nil }
    let texts = bytes[24...].split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
    guard texts.count >= 4, texts.prefix(3).allSatisfy({ $0.count <= Self.longestText }) else { return nil }
    let moved = base.map { $0 &- linkBase } ?? 0
    self.init(
      provider: String(decoding: texts[0], as: UTF8.self), name: String(decoding: texts[1], as: UTF8.self),
      address: address &+ moved, semaphore: semaphore == 0 ? nil : semaphore &+ moved,
      arguments: String(decoding: texts[2], as: UTF8.self))
  }
}

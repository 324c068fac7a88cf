import CZlib

/// Files that hold what `strip` took out of another one: where they are looked for, and whether one is the right one
/// (GDB manual, "Debugging Information in Separate Files").
public enum DebugFile {
  /// The name and the checksum in .gnu_debuglink.
  struct Link: Sendable, Hashable {
    var name: String
    /// CRC-32 of the whole debug file.
    var checksum: UInt32
  }

  /// What a file is to another one that it might belong to.
  public enum Match: Sendable, Hashable {
    case same
    /// It comes from another build: its addresses would mislead.
    case otherBuild
    /// Neither of them says.
    case unknown
  }

  /// Where Debian, and most others, install debug files; only the administrator writes there.
  public static let directory = "/usr/lib/debug/"
  /// Debug files without a build id are read whole for their checksum; larger ones are not.
  private static let largestChecked: UInt64 = 1 << 30

  /// Where the debug file of a file may be, the best place first. `path` is the file's own, as its process sees it.
  public static func candidates(of elf: ELFFile, path: String) -> [String] {
    var result: [String] = []
    if let id = elf.buildID, id.utf8.count > 2 {
      result.append(directory + ".build-id/" + id.prefix(2) + "/" + id.dropFirst(2) + ".debug")
    }
    if let link = elf.debugLink, let slash = path.lastIndex(of: "/"), path.first == "/" {
      let folder = path[...slash]
      result += [
        folder + link.name, folder + ".debug/" + link.name, directory + folder.dropFirst() + link.name,
      ]
    }
    return result
  }

  /// Whether `debug` belongs to `elf`: by the build id, or where the file has none by the checksum of its link.
  public static func match(_ debug: ELFFile, _ elf: ELFFile) -> Match {
    if let id = elf.buildID { return debug.buildID.map { $0 == id ? .same : .otherBuild } ?? .otherBuild }
    guard let link = elf.debugLink, debug.bytes.count <= largestChecked,
      let checksum = try? checksum(of: debug.bytes)
    else { return .unknown }
    return checksum == link.checksum ? .same : .otherBuild
  }

  private static func checksum(of bytes: any ByteSource) throws(BinaryError) -> UInt32 {
    let chunk: UInt64 = 1 << 20
    var sum: UInt = 0
    var at: UInt64 = 0
    while at < bytes.count {
      let part = try bytes.read(at: at, count: Int(min(chunk, bytes.count - at)))
      sum = crc32(sum, part, UInt32(part.count))
      at += UInt64(part.count)
    }
    return UInt32(truncatingIfNeeded: sum)
  }
}

extension ELFFile {
  /// Nil if there is none, or if it names anything but a file in a folder: it comes from the file.
  var debugLink: DebugFile.Link? {
    guard let section = section(named: ".gnu_debuglink"), section.size <= 512,
      let bytes = try? contents(of: section), let end = bytes.firstIndex(of: 0), end > 0,
      // The checksum stands at the next multiple of 4.
      let checksum = bytes.integer(UInt32.self, at: (end + 4) & ~3),
      let name = String(validating: bytes[..<end], as: UTF8.self), !name.contains("/"), name != "..",
      name != "."
    else { return nil }
    return DebugFile.Link(name: name, checksum: checksum)
  }

  /// Whether it has call frame information of the kind that debug files have.
  public var hasDebugFrame: Bool { section(named: CallFrameInfo.Format.debugFrame.rawValue) != nil }
}

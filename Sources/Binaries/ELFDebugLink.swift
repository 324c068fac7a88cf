import CZlib

extension ELFFile {
  /// What the section .gnu_debuglink says (GDB manual, "Separate Debug Files").
  public struct DebugLink: Sendable, Hashable {
    /// A file name without a directory.
    public var name: String
    /// CRC-32 of the debug file's bytes.
    public var checksum: UInt32
  }

  /// The name of the file's debug file; nil if it has none or an impossible one.
  public var debugLink: DebugLink? {
    guard let section = section(named: ".gnu_debuglink"), section.size <= 4096,
      let bytes = try? bytes(at: section.offset, count: Int(section.size))
    else { return nil }
    let name = bytes.string(at: 0, limit: 255)
    // Padded to a multiple of 4, then the checksum.
    guard !name.isEmpty, !name.contains("/"), name != "..",
      let checksum = bytes.integer(UInt32.self, at: (name.utf8.count + 4) & ~3)
    else { return nil }
    return DebugLink(name: name, checksum: checksum)
  }

  /// Where the separate debug file of a file at `path` may be, best first.
  public func debugFilePaths(path: String) -> [String] {
    var result: [String] = []
    if let buildID, buildID.utf8.count > 2 {
      result.append("/usr/lib/debug/.build-id/\(buildID.prefix(2))/\(buildID.dropFirst(2)).debug")
    }
    if let link = debugLink, path.hasPrefix("/"), let slash = path.lastIndex(of: "/") {
      let folder = path[...slash]
      result += [folder + link.name, folder + ".debug/" + link.name, "/usr/lib/debug" + folder + link.name]
    }
    return result
  }

  /// Whether another file is this one's debug file: by the build id, or where this one has none by the checksum.
  public func isDescribed(by other: ELFFile) -> Bool {
    if let buildID { return other.buildID == buildID }
    guard let link = debugLink, let checksum = other.checksum else { return false }
    return checksum == link.checksum
  }

  /// CRC-32 of all bytes; nil if they cannot be read.
  private var checksum: UInt32? {
    var result = crc32(0, nil, 0)
    var at: UInt64 = 0
    while at < bytes.count {
      let count = min(bytes.count - at, 1 << 20)
      guard let chunk = try? bytes.read(at: at, count: Int(count)) else { return nil }
      result = crc32(result, chunk, UInt32(count))
      at += count
    }
    return UInt32(truncatingIfNeeded: result)
  }

  /// The bytes of a section, decompressed if they have to be (gABI 4.1, "Compression Header").
  func contents(of section: Section) throws(BinaryError) -> [UInt8] {
    let raw = try bytes(at: section.offset, count: Int(section.size))
    guard section.isCompressed else { return raw }
    guard raw.integer(UInt32.self, at: 0) == 1, let size = raw.integer(UInt64.self, at: 8), size < 1 << 30,
      let contents = Self.inflate(Array(raw.dropFirst(24)), size: Int(size))
    else { throw .truncated(what: "the contents of \(section.name)") }
    return contents
  }

  /// Undoes zlib's compression (RFC 1950); nil unless exactly so many bytes come out.
  private static func inflate(_ input: [UInt8], size: Int) -> [UInt8]? {
    // A byte of input makes at most 1032 of output: what promises more is a lie.
    guard size <= (input.count + 1) * 1032 else { return nil }
    var code: Int32 = 0
    let output = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      var length = UInt(size)
      code = uncompress(buffer.baseAddress, &length, input, UInt(input.count))
      count = Int(length)
    }
    return code == Z_OK && output.count == size ? output : nil
  }
}

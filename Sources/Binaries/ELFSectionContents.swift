import CZlib

extension ELFFile {
  /// The bytes of a section, decompressed if they have to be (gABI 4.1, "Compression Header").
  func contents(of section: Section) throws(BinaryError) -> [UInt8] {
    let raw = try bytes(at: section.offset, count: Int(section.size))
    guard section.isCompressed else { return raw }
    guard raw.integer(UInt32.self, at: 0) == 1, let size = raw.integer(UInt64.self, at: 8), size < 1 << 30,
      let contents = Self.inflate(Array(raw.dropFirst(24)), size: Int(size))
    else { throw .truncated(what: "the contents of \(section.name)") }
    return contents
  }

  /// How many bytes `contents` will give, as the file says: of a compressed section no more than its bytes can make.
  func contentSize(of section: Section) -> UInt64 {
    guard section.isCompressed else { return section.size }
    guard section.size > 24, let header = try? bytes(at: section.offset, count: 24),
      let size = header.integer(UInt64.self, at: 8)
    else { return 0 }
    return min(size, Self.largestExpansion(of: section.size))
  }

  /// A byte of input makes at most 1032 of output.
  private static func largestExpansion(of size: UInt64) -> UInt64 { min(size, 1 << 40) * 1032 + 1032 }

  /// Undoes zlib's compression (RFC 1950); nil unless exactly so many bytes come out.
  private static func inflate(_ input: [UInt8], size: Int) -> [UInt8]? {
    // What promises more is a lie.
    guard UInt64(size) <= largestExpansion(of: UInt64(input.count)) else { return nil }
    var code: Int32 = 0
    let output = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      var length = UInt(size)
      code = uncompress(buffer.baseAddress, &length, input, UInt(input.count))
      count = Int(length)
    }
    return code == Z_OK && output.count == size ? output : nil
  }
}

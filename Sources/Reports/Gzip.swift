import CZlib

/// gzip (RFC 1952) by zlib.
enum Gzip {
  /// The same bytes give the same result: no time stands in the header.
  static func compress(_ bytes: [UInt8]) throws(ReportError) -> [UInt8] {
    // zlib counts the input in 32 bits; more would be cut without an error.
    guard let size = UInt32(exactly: bytes.count) else { throw .tooLarge }
    var stream = z_stream()
    // 15 bits of window, and 16 for a gzip header. deflateInit2 is a macro.
    var code = deflateInit2_(
      &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard code == Z_OK else { throw .compression(code: code) }
    defer { deflateEnd(&stream) }
    var input = bytes
    let room = Int(deflateBound(&stream, UInt(bytes.count)))
    let output = [UInt8](unsafeUninitializedCapacity: room) { output, count in
      input.withUnsafeMutableBufferPointer { input in
        stream.next_in = input.baseAddress
        stream.avail_in = size
        stream.next_out = output.baseAddress
        stream.avail_out = UInt32(clamping: output.count)
        code = deflate(&stream, Z_FINISH)
        count = Int(stream.total_out)
      }
    }
    guard code == Z_STREAM_END else { throw .compression(code: code) }
    return output
  }
}

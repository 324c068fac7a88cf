import CLzma

/// Decompression of .xz streams by liblzma.
enum XZ {
  /// The contents of a stream, or nil if it is damaged or its contents are longer than `limit` bytes. Memory grows
  /// with what really comes out: a stream may be hostile.
  static func decompress(_ input: [UInt8], limit: Int) -> [UInt8]? {
    // 64 MiB is what `xz -9` needs to be undone; a header may ask for 4 GiB.
    let memory: UInt64 = 80 << 20
    var stream = lzma_stream()
    guard lzma_stream_decoder(&stream, memory, 0) == LZMA_OK else { return nil }
    defer { lzma_end(&stream) }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 256 << 10)
    let isWhole = input.withUnsafeBufferPointer { input in
      stream.next_in = input.baseAddress
      stream.avail_in = input.count
      while true {
        let (code, count) = chunk.withUnsafeMutableBufferPointer { chunk in
          stream.next_out = chunk.baseAddress
          stream.avail_out = chunk.count
          let code = lzma_code(&stream, LZMA_FINISH)
          return (code, chunk.count - stream.avail_out)
        }
        guard output.count + count <= limit else { return false }
        output += chunk[..<count]
        if code == LZMA_STREAM_END { return true }
        guard code == LZMA_OK else { return false }
      }
    }
    return isWhole ? output : nil
  }
}

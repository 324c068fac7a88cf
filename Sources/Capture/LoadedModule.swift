import CProbes

/// What the dynamic linker of a process told: a library has come, or something has changed.
public struct LoadedModule: Sendable, Hashable {
  /// The number of the process, see `TracedProcess`.
  public var process: Int
  /// CLOCK_MONOTONIC, in nanoseconds.
  public var nanoseconds: UInt64
  /// How many changes the linker had told of by then.
  public var change: UInt32
  /// Address in memory minus virtual address in the file.
  public var base: UInt64
  /// As the target has it, hostile; empty if only something has changed.
  public var path: [UInt8]

  /// A record of the ring buffer; nil if it is no whole one. The layout is that of `drip_linker_event`, or of its head alone.
  static func read(_ record: UnsafeRawBufferPointer) -> LoadedModule? {
    let head = MemoryLayout<drip_linker_event_head>.size
    guard record.count >= head else { return nil }
    let path = record[head..<min(record.count, head + Int(DRIP_PATH_BYTES))].prefix { $0 != 0 }
    return LoadedModule(
      process: Int(record.loadUnaligned(fromByteOffset: 16, as: UInt32.self)),
      nanoseconds: record.loadUnaligned(as: UInt64.self),
      change: record.loadUnaligned(fromByteOffset: 20, as: UInt32.self),
      base: record.loadUnaligned(fromByteOffset: 8, as: UInt64.self), path: Array(path))
  }
}

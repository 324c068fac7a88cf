internal import CSymbolShims
internal import Profile

/// libdwfl as a second unwinder of one process: from the same registers and stack bytes as drip's own walk, and the
/// call frame information of the same files. Made for one state of the process's mappings.
final class StackOracle {
  private let raw: OpaquePointer
  /// It gets to the debug files through these, as long as it lives.
  private let files: TargetFiles
  /// Executable mappings, ascending.
  private let code: [SymbolMapping]

  /// Opens the files behind the mappings; nil if none of them can be unwound.
  init?(pid: Int32, mappings: [SymbolMapping]) {
    let files = TargetFiles(pid: pid)
    let context = Unmanaged.passUnretained(files).toOpaque()
    let raw = drip_oracle_new(
      pid,
      { context, module, file, link, crc in
        DebugFileSearch.find(
          OpaquePointer(module), context, file, link, crc, nil, asksServers: false)
      }, context)
    guard let raw else { return nil }
    self.raw = raw
    self.files = files
    code = mappings.filter(\.executable).sorted { $0.start < $1.start }
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    for mapping in code {
      guard let path = mapping.filePath, let file = try? files.open(mapping, path: path) else { continue }
      // A file that is no ELF file, or is mapped twice, is refused there.
      drip_oracle_add(raw, path, file.release(), mapping.start, mapping.fileOffset)
    }
    guard drip_oracle_ready(raw) else { return nil }
  }

  deinit { drip_oracle_free(raw) }

  /// The sample's stack, at most so many frames of it.
  func unwind(_ sample: StackSample, capacity: Int) -> ReferenceStack {
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    var start = drip_oracle_start()
    start.pc = sample.pc
    start.sp = sample.sp
    start.fp = sample.fp
    if let saved = sample.saved, saved.count == 5 {
      start.saved = (saved[0], saved[1], saved[2], saved[3], saved[4])
      start.has_saved = true
    }
    start.base = sample.base
    var frames = [UInt64](repeating: 0, count: capacity)
    let result = sample.bytes.withUnsafeBufferPointer { bytes in
      start.bytes = bytes.baseAddress
      start.count = bytes.count
      return drip_oracle_unwind(raw, &start, &frames, frames.count)
    }
    return ReferenceStack(
      frames: Array(frames.prefix(result.count)), reliable: result.ran_out ? result.reliable : .max)
  }

  /// What lies at an address.
  func place(_ address: UInt64) -> ReferenceStack.Place {
    var low = 0
    var high = code.count
    while low < high {
      let middle = (low + high) / 2
      if code[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < code[low - 1].end else { return .nothing }
    if code[low - 1].path.hasPrefix("[uprobes") { return .returnProbe }
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    return drip_oracle_has_rules(raw, address) ? .ruled : .bare
  }
}

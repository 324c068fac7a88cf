import CProbes

/// The sizes of the maps, from the options. Pure.
struct TableLayout: Sendable, Hashable {
  /// Buckets of the live table, a power of two. Half full at `maxLive`: then under 2 % of the objects
  /// overflow their bucket (Poisson with mean 3 into 6 ways).
  let buckets: Int
  /// Objects that the overflow map takes; it costs memory only as it fills.
  let overflow: Int
  let maxLive: Int
  let sites: Int
  let frameBlocks: Int
  let pages: Int
  let rowChunks: Int
  let scratch: Int
  /// Processes traced at one time, a power of two.
  let processes: Int
  /// Bytes of the self-check's ring buffer: room for some 220 stacks between two polls, or none.
  let checks: Int
  /// Bytes of the ring buffer in which dynamic linkers tell of libraries: some 900 between two looks.
  let linkerEvents = 256 << 10

  init(options: CaptureOptions, cpus: Int, unwindRows: Int = 0, unwindPages: Int = 0) {
    let ways = Int(DRIP_WAYS)
    maxLive = max(options.maxLive, 1)
    buckets = Self.powerOfTwo(atLeast: max(maxLive * 2 / ways, 64))
    overflow = max(maxLive / 4, 1024)
    // At most half full, so that a search among neighbours ends soon.
    let wanted = Self.powerOfTwo(atLeast: max(options.maxSites, 64))
    sites = wanted * 2
    // Four blocks of 16 frames a site on average; a deep site may take 32.
    frameBlocks = wanted * 4
    // Room for what dlopen may bring later, and other programs.
    pages = unwindPages + 16_384
    // libLLVM has 0.8 million rows, compilers and browsers up to 2.4 million; 4 bytes each.
    let later = options.maxProcesses > 1 ? 3 << 20 : 1 << 20
    rowChunks = (unwindRows + unwindRows / 4 + later) / Int(DRIP_ROWS_PER_CHUNK)
    processes = Self.powerOfTwo(atLeast: max(options.maxProcesses, 1))
    checks = options.checkStacksEvery > 0 ? 8 << 20 : 4096
    scratch = max(cpus, 1) * Int(DRIP_SCRATCH_PER_CPU)
  }

  /// Kernel memory of all maps in bytes, without what the overflow map will take as it fills.
  var bytes: Int {
    let sites = sites * MemoryLayout<drip_site>.stride
    let frames = frameBlocks * MemoryLayout<drip_frame_block>.stride
    let unwind =
      pages * MemoryLayout<drip_page>.stride + rowChunks * Int(DRIP_ROW_CHUNK_BYTES)
      + Int(DRIP_RULES) * MemoryLayout<drip_rule>.stride
    let perProcess =
      2 * Int(DRIP_PROCESS_BYTES) + MemoryLayout<drip_target>.stride + MemoryLayout<UInt64>.stride
      + MemoryLayout<drip_linker>.stride
      + Int(DRIP_FUNCTIONS)
      * Int(DRIP_TRIAL_BYTES)
    let working =
      scratch * Int(DRIP_SCRATCH_BYTES) + Int(DRIP_CALL_BUCKETS) * Int(DRIP_CALLS_BYTES)
      + Int(DRIP_MEMOS) * Int(DRIP_MEMO_BYTES)
    // A hash map's bucket heads are there from the start: 16 bytes each.
    let overflowHeads = Self.powerOfTwo(atLeast: overflow) * 16
    return buckets * Int(DRIP_BUCKET_BYTES) + sites + frames + unwind + processes * perProcess
      + working + overflowHeads + checks + linkerEvents + Int(DRIP_FILES) * 16 + Int(DRIP_BASES) * 80
  }

  static func powerOfTwo(atLeast value: Int) -> Int {
    var result = 1
    while result < value { result <<= 1 }
    return result
  }
}

import CProbes

/// The sizes of the kernel capture's maps, from the options. Pure. They are all there from the start: a map that grew
/// would allocate inside of the allocator that it watches.
struct KernelLayout: Sendable, Hashable {
  /// Buckets of the live table, a power of two; half full at `maxLive`.
  let buckets: Int
  let overflow: Int
  let maxLive: Int
  let sites: Int
  let frameBlocks: Int
  let scratch: Int

  init(options: KernelCaptureOptions, cpus: Int) {
    maxLive = max(options.maxLive, 1)
    buckets = TableLayout.powerOfTwo(atLeast: max(maxLive * 2 / Int(DRIP_WAYS), 64))
    overflow = max(maxLive / 8, 1024)
    let wanted = TableLayout.powerOfTwo(atLeast: max(options.maxSites, 64))
    sites = wanted * 2
    // A caller alone takes one; a stack of the kernel's has some 15 to 40 frames.
    frameBlocks = wanted * 3
    scratch = max(cpus, 1) * Int(DRIP_SCRATCH_PER_CPU)
  }

  /// Kernel memory of all maps in bytes. An element of a hash map takes 48 bytes beside its key and value, and a
  /// bucket's head 16.
  var bytes: Int {
    let tables =
      buckets * Int(DRIP_BUCKET_BYTES) + sites
      * (MemoryLayout<drip_site>.stride + MemoryLayout<drip_kernel_origin>.stride)
      + frameBlocks * MemoryLayout<drip_frame_block>.stride + scratch * Int(DRIP_SCRATCH_BYTES)
    let hashes =
      overflow * (64 + MemoryLayout<drip_object>.stride + 8) + Int(DRIP_KERNEL_CALLERS) * (64 + 24)
      + Int(DRIP_KERNEL_PENDING) * (64 + 32)
    return tables + hashes
  }
}

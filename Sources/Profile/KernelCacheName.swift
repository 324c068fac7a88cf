/// From which cache kmalloc serves a request, where nothing tells.
public enum KernelCacheName {
  // Bits of gfp_t (include/linux/gfp_types.h).
  private static let dma: UInt32 = 0x1
  private static let reclaimable: UInt32 = 0x10
  private static let account: UInt32 = 0x40_0000

  /// The name of kmalloc's cache for objects of so many bytes (mm/slab_common.c): "kmalloc-512", "kmalloc-cg-1k". nil for what
  /// is too large for a cache: whole pages. `exists` says whether the kernel has such a cache.
  public static func kmalloc(bytes: UInt64, flags: UInt32, exists: (String) -> Bool = { _ in true })
    -> String?
  {
    guard let size = sizes.first(where: { $0 >= bytes }) else { return nil }
    let number = size >= 1024 ? "\(size / 1024)k" : "\(size)"
    var kinds: [String] = []
    if flags & dma != 0 { kinds.append("dma-kmalloc-") }
    // One of several kinds in this order.
    if flags & reclaimable != 0 { kinds.append("kmalloc-rcl-") }
    if flags & account != 0 { kinds.append("kmalloc-cg-") }
    return (kinds + ["kmalloc-"]).map { $0 + number }.first(where: exists) ?? "kmalloc-" + number
  }

  private static let sizes: [UInt64] = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192]
}

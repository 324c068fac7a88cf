/// From which cache kmalloc serves a request, where nothing tells.
public enum KernelCacheName {
  // Bits of gfp_t (include/linux/gfp_types.h).
  private static let dma: UInt32 = 0x1
  private static let reclaimable: UInt32 = 0x10
  private static let account: UInt32 = 0x40_0000

  /// Callers of kmalloc with caches of their own, so that what users can make grow lies apart (CONFIG_SLAB_BUCKETS).
  private static let ownCaches = [
    (prefix: "msg_msg-", functions: ["load_msg", "alloc_msg"]),
    (
      prefix: "memdup_user-",
      functions: [
        "memdup_user", "_memdup_user", "vmemdup_user", "memdup_user_nul", "strndup_user",
        "memdup_user_noprof", "vmemdup_user_noprof",
      ]
    ),
  ]

  /// The name of kmalloc's cache for objects of so many bytes (mm/slab_common.c): "kmalloc-512", "kmalloc-cg-1k". nil for what
  /// is too large for a cache: whole pages. `stack` tells who called; `exists` whether the kernel has such a cache.
  public static func kmalloc(
    bytes: UInt64, flags: UInt32, stack: [Frame] = [], exists: (String) -> Bool = { _ in true }
  ) -> String? {
    guard let size = sizes.first(where: { $0 >= bytes }) else { return nil }
    let number = size >= 1024 ? "\(size / 1024)k" : "\(size)"
    var kinds: [String] = []
    // The caller itself: what it calls for is not its own.
    if let caller = stack.first(where: { isOwner($0) || !KernelFrame.isAllocator($0) })?.function,
      let own = ownCaches.first(where: { $0.functions.contains(caller) })
    {
      kinds.append(own.prefix)
    }
    if flags & dma != 0 { kinds.append("dma-kmalloc-") }
    // One of several kinds in this order.
    if flags & reclaimable != 0 { kinds.append("kmalloc-rcl-") }
    if flags & account != 0 { kinds.append("kmalloc-cg-") }
    return (kinds + ["kmalloc-"]).map { $0 + number }.first(where: exists) ?? "kmalloc-" + number
  }

  private static func isOwner(_ frame: Frame) -> Bool {
    guard frame.module == KernelFrame.module, let function = frame.function else { return false }
    return ownCaches.contains { $0.functions.contains(function) }
  }

  private static let sizes: [UInt64] = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192]
}

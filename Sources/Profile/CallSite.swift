/// Which frame of a stack a reader would call "the call site": the first outside of the allocator and of the
/// libraries that every allocation passes through.
public enum CallSite {
  private static let passages = [
    "libc.so", "libc-", "libstdc++", "libc++", "ld-linux", "ld-musl", "libjemalloc", "libtcmalloc",
    "libmimalloc", "libdrip-sampler",
  ]

  /// The call site's frame; the innermost frame if all belong to such libraries; nil for an empty stack.
  public static func frame(_ frames: [Frame]) -> Frame? {
    frames.first { !isPassage($0) } ?? frames.first
  }

  /// True for a frame in an allocator, a C library or a C++ library.
  public static func isPassage(_ frame: Frame) -> Bool {
    guard let name = frame.module?.split(separator: "/").last else { return false }
    if frame.module == KernelFrame.module { return KernelFrame.isAllocator(frame) }
    return passages.contains { name.hasPrefix($0) }
  }

  /// "function (file.c:42)", or as much of it as is known.
  public static func name(_ frames: [Frame]) -> String {
    guard let frame = frame(frames) else { return "(no room for this stack)" }
    return label(frame)
  }

  /// One frame on one line; never a bare "unknown".
  public static func label(_ frame: Frame) -> String {
    let name = frame.function ?? unnamed(frame)
    guard let position = position(frame) else { return name }
    return "\(name) (\(position))"
  }

  /// "module+0x1234 (build id 0123abcd…)": what it takes to name the frame later.
  public static func unnamed(_ frame: Frame) -> String {
    guard let id = frame.buildID else { return place(frame) }
    return "\(place(frame)) (build id \(id.prefix(8))\(id.count > 8 ? "…" : ""))"
  }

  /// "module+0x1234", or the bare address in memory that belongs to no file.
  public static func place(_ frame: Frame) -> String {
    let offset = "0x" + String(frame.offset, radix: 16)
    guard let module = frame.module?.split(separator: "/").last else { return offset }
    return "\(module)+\(offset)"
  }

  /// "file.c:42", without its folder.
  public static func position(_ frame: Frame) -> String? {
    guard let file = frame.file?.split(separator: "/").last else { return nil }
    return frame.line.map { "\(file):\($0)" } ?? String(file)
  }
}

/// What the kernel's own leak detector says (Documentation/dev-tools/kmemleak.rst): blocks to which it has found no pointer.
/// Few kernels have it: it must be compiled in (CONFIG_DEBUG_KMEMLEAK) and costs much.
public struct KmemleakReport: Sendable, Hashable {
  /// One block that nothing points to.
  public struct Object: Sendable, Hashable {
    public var address: UInt64
    /// As it was asked for.
    public var size: UInt64
    public var command: String
    public var pid: Int32
    public var frames: [Frame]

    public init(address: UInt64, size: UInt64, command: String, pid: Int32, frames: [Frame] = []) {
      self.address = address
      self.size = size
      self.command = command
      self.pid = pid
      self.frames = frames
    }
  }

  /// "drip_leak+0x1b/0x40 [dripleak]": the place behind a call.
  public struct Frame: Sendable, Hashable {
    public var function: String
    public var offset: UInt64
    /// nil for the kernel itself.
    public var module: String?

    public init(function: String, offset: UInt64, module: String? = nil) {
      self.function = function
      self.offset = offset
      self.module = module
    }
  }

  public var objects: [Object]

  public init(objects: [Object]) { self.objects = objects }

  /// Where the kernel has its report.
  public static let path = "/sys/kernel/debug/kmemleak"

  /// Reads the report as it is, without asking for a new search. nil where the kernel has none, or it cannot be read (it
  /// takes root, and debugfs mounted).
  public static func read() -> KmemleakReport? {
    guard let bytes = try? ProcFile.read(path, limit: 64 << 20) else { return nil }
    return KmemleakReport(String(decoding: bytes, as: UTF8.self))
  }

  /// Parses the report. What is no part of it is passed over; an object without its backtrace has no frames.
  public init(_ text: String) {
    var objects: [Object] = []
    var isInBacktrace = false
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      if line.hasPrefix("unreferenced object ") {
        isInBacktrace = false
        // "unreferenced object 0xffff… (size 512):", with a kind before the word "object" on some kernels.
        guard
          let address = words.first(where: { $0.hasPrefix("0x") }).flatMap({
            UInt64($0.dropFirst(2), radix: 16)
          }),
          let at = words.firstIndex(of: "(size"), at + 1 < words.count,
          let size = UInt64(words[at + 1].prefix { $0.isNumber })
        else { continue }
        objects.append(Object(address: address, size: size, command: "", pid: 0))
      } else if let last = objects.indices.last, line.hasPrefix("  comm ") {
        if let (command, pid) = Self.origin(line) {
          objects[last].command = command
          objects[last].pid = pid
        }
      } else if line.hasPrefix("  backtrace") {
        isInBacktrace = true
      } else if isInBacktrace, let last = objects.indices.last, let frame = Self.frame(words) {
        objects[last].frames.append(frame)
      }
    }
    self.init(objects: objects)
  }

  /// `  comm "insmod", pid 123, jiffies 42`: the name may hold anything, so its end is the last quote.
  private static func origin(_ line: Substring) -> (String, Int32)? {
    guard let open = line.firstIndex(of: "\""), let close = line.lastIndex(of: "\""), open < close,
      let pid = line[close...].split(separator: " ").dropFirst(2).first.flatMap({
        Int32($0.prefix { $0.isNumber })
      })
    else { return nil }
    return (displayable(String(line[line.index(after: open)..<close])), pid)
  }

  /// `[<00000000c0ffee00>] name+0x1b/0x40 [module]`; newer kernels leave the address out.
  private static func frame(_ words: [Substring]) -> Frame? {
    var words = words[...]
    if words.first?.hasPrefix("[<") == true { words = words.dropFirst() }
    guard let place = words.first, let plus = place.lastIndex(of: "+") else { return nil }
    let number = place[plus...].dropFirst(3).prefix { $0 != "/" }
    guard let offset = UInt64(number, radix: 16) else { return nil }
    let module = words.dropFirst().first.flatMap { word in
      word.hasPrefix("[") && word.hasSuffix("]") ? displayable(String(word.dropFirst().dropLast())) : nil
    }
    return Frame(function: displayable(String(place[..<plus])), offset: offset, module: module)
  }

  /// How many of the objects were allocated by this stack: its frames, innermost first, as function and offset. The report
  /// keeps the innermost ones only (16), and begins inside of the allocator, which a stack taken elsewhere need not.
  public func count(stack: [Frame]) -> Int {
    objects.count { object in
      guard let start = stack.indices.first(where: { object.frames.contains(stack[$0]) }),
        let own = object.frames.firstIndex(of: stack[start])
      else { return false }
      // From the first frame that both have, both go on alike to the end of the shorter.
      let length = min(stack.count - start, object.frames.count - own)
      return length >= min(2, object.frames.count)
        && stack[start..<start + length] == object.frames[own..<own + length]
    }
  }
}

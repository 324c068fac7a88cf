import Glibc

/// What kmemleak, the kernel's own search for objects that nothing points to, has found so far: evidence beside drip's
/// counts. Few kernels have it: it slows every allocation, and distributions leave it out.
public struct KmemleakReport: Sendable, Hashable {
  /// A place in the kernel's code, as %pS prints it. The offset is that of a return address.
  public struct Frame: Sendable, Hashable {
    /// nil where the kernel had no name: its module was gone.
    public var function: String?
    /// The module, such as "xfs"; nil for the kernel itself.
    public var module: String?
    /// Bytes from the start of the function; the address itself without one.
    public var offset: UInt64

    public init(function: String?, module: String? = nil, offset: UInt64) {
      self.function = function
      self.module = module
      self.offset = offset
    }
  }

  /// One object that kmemleak found no pointer to.
  public struct Object: Sendable, Hashable {
    public var address: UInt64
    /// Requested bytes.
    public var size: UInt64
    /// In brackets behind "object": "phys", "percpu"; nil for the usual ones.
    public var kind: String?
    /// Of the task that allocated it; "softirq" or "hardirq" in an interrupt. Empty if the report does not say.
    public var command: String
    public var pid: Int32
    /// When it was allocated, in the kernel's own ticks.
    public var jiffies: UInt64
    /// Seconds since then. Kernels since 6.8 or so do not say.
    public var ageSeconds: Double?
    /// Innermost first, at most 16. The first ones are the allocator's.
    public var frames: [Frame]
  }

  public var objects: [Object]
  /// Objects that found no room here (`most`).
  public var omitted: Int
  /// Lines that are none of the documented ones.
  public var strangeLines: Int

  /// So many objects are kept of one report.
  public static let most = 1 << 16

  /// Why there is no report.
  public enum Absence: Error, Sendable, Hashable {
    /// The kernel has no kmemleak (CONFIG_DEBUG_KMEMLEAK), or debugfs is not mounted.
    case none
    /// It is built in and was not wanted at boot (kmemleak=off), or gave up for lack of memory.
    case off
    case unreadable(code: Int32)

    /// In plain words.
    public var reason: String {
      switch self {
      case .none: "this kernel has no kmemleak, or debugfs is not mounted"
      case .off: "kmemleak is switched off on this kernel (kmemleak=on at boot)"
      case .unreadable(let code): "kmemleak's report cannot be read: \(String(cString: strerror(code)))"
      }
    }
  }

  public static let path = "/sys/kernel/debug/kmemleak"

  /// Reads what kmemleak has found by now. It looks by itself, every ten minutes unless told otherwise, and tells only of
  /// objects older than five seconds: that an object is not in the report says little.
  public static func read(path: String = Self.path) throws(Absence) -> KmemleakReport {
    do throws(Errno) {
      return KmemleakReport(try ProcFile.read(path, limit: 256 << 20))
    } catch {
      switch error.code {
      case ENOENT: throw .none
      case EBUSY, EPERM: throw .off
      default: throw .unreadable(code: error.code)
      }
    }
  }

  /// Makes kmemleak look now, and waits until it has. It reads all of the kernel's memory: seconds on a large machine.
  public static func scan(path: String = Self.path) throws(Absence) {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw errno == ENOENT ? .none : .unreadable(code: errno) }
    defer { close(descriptor) }
    guard write(descriptor, "scan", 4) == 4 else {
      // What it says to everything but "clear" when it is off.
      throw errno == EPERM || errno == EBUSY ? .off : .unreadable(code: errno)
    }
  }

  /// The objects that this stack allocated and nothing points to. Frames are the stack's, innermost first, as many as are
  /// known: of a caller alone one. Those of the allocators, which each tool hooks in another place, are passed over on
  /// both sides, and frames without a name say nothing.
  public func unreferenced(
    by stack: [Frame], isAllocator: (Frame) -> Bool
  ) -> (count: Int, bytes: UInt64) {
    let wanted = Self.callers(stack, isAllocator)
    guard wanted.first?.function != nil else { return (0, 0) }
    var result = (count: 0, bytes: UInt64(0))
    for object in objects {
      let known = Self.callers(object.frames, isAllocator)
      // Either may be cut, at the outer end.
      guard !known.isEmpty, zip(wanted, known).allSatisfy({ $0 == $1 }) else { continue }
      result.count += 1
      result.bytes += object.size
    }
    return result
  }

  private static func callers(_ frames: [Frame], _ isAllocator: (Frame) -> Bool) -> ArraySlice<Frame> {
    frames.drop { $0.function != nil && isAllocator($0) }
  }
}

import Profile

extension Reachability {
  /// What several sites that are shown as one have together; nil of none.
  public static func combined(_ parts: [Reachability]) -> Reachability? {
    guard var result = parts.max(by: { $0.reachable < $1.reachable }) else { return nil }
    result.inspected = parts.reduce(0) { $0 + $1.inspected }
    result.unreachable = parts.reduce(0) { $0 + $1.unreachable }
    result.onlyFromSuspects = parts.reduce(0) { $0 + $1.onlyFromSuspects }
    result.reachable = parts.reduce(0) { $0 + $1.reachable }
    result.onlyFromUnknownHeap = parts.reduce(0) { $0 + $1.onlyFromUnknownHeap }
    return result
  }

  /// A phrase without a full stop: "40 of 40 inspected objects are unreachable".
  public var sentence: String {
    guard inspected > 0 else { return "none of its objects lived long enough to be inspected" }
    func number(_ value: Int) -> String { Quantities.count(UInt64(max(value, 0))) }
    let isLost = unreachable + onlyFromSuspects > 0
    var text: String
    if isLost || reachable == 0 {
      let objects = inspected == 1 ? "inspected object is" : "inspected objects are"
      text = "\(number(unreachable + onlyFromSuspects)) of \(number(inspected)) \(objects) unreachable"
      if onlyFromSuspects > 0 {
        text += " (\(number(onlyFromSuspects)) held only by objects that nothing leads to)"
      }
    } else {
      text = inspected == 1 ? "reachable" : "all \(number(inspected)) inspected objects are reachable"
    }
    guard reachable > 0 else { return text }
    let hold = isLost ? "; the rest is reachable, held" : ": held"
    if onlyFromUnknownHeap == reachable {
      return text + hold + " only from heap memory that drip does not know"
    }
    if let exampleHolder { text += hold + " by " + exampleHolder }
    if onlyFromUnknownHeap > 0 {
      text += "; \(number(onlyFromUnknownHeap)) only from heap memory that drip does not know"
    }
    return text
  }
}

extension Reachability {
  /// Who holds an object.
  public struct Holder: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
      case data
      case threadLocal = "thread_local"
      case stack
      case register
      case shared
      case kernel
      case object
      case unknownHeap = "unknown_heap"
    }

    /// What the pointer stands in.
    public var kind: Kind
    /// The variable, or the site where the holding object was allocated ("function (file.c:42)"); nil where nothing has
    /// a name.
    public var name: String?
    /// The file of the program or library whose data it is.
    public var module: String?
    /// Whose stack, register or storage it is.
    public var thread: Int32?
    /// Where the way to the holding object begins, if `kind` is `object` and that is known.
    public var root: Root?

    /// The beginning of a way through objects.
    public struct Root: Sendable, Hashable {
      public var kind: Kind
      public var name: String?
      public var module: String?
      public var thread: Int32?

      public init(kind: Kind, name: String? = nil, module: String? = nil, thread: Int32? = nil) {
        self.kind = kind
        self.name = name
        self.module = module
        self.thread = thread
      }

      var text: String {
        let file = module.flatMap { $0.split(separator: "/").last }.map { " in \($0)" } ?? ""
        let whose = thread.map { " of thread \($0)" } ?? ""
        switch kind {
        case .data: return (name.map { "`\($0)`" } ?? "data") + file
        case .threadLocal: return "thread-local storage" + whose
        case .stack: return "the stack" + whose
        case .register: return "a register" + whose
        case .shared: return "shared memory"
        case .kernel: return "the kernel (epoll, timers)"
        case .object: return "another live object"
        case .unknownHeap: return "heap memory that drip does not know"
        }
      }
    }

    public init(
      kind: Kind, name: String? = nil, module: String? = nil, thread: Int32? = nil, root: Root? = nil
    ) {
      self.kind = kind
      self.name = name
      self.module = module
      self.thread = thread
      self.root = root
    }

    /// "`cache` in redis-server", "an object from cache_insert (cache.c:12), reached from `table` in server".
    public var text: String {
      guard kind == .object else {
        return Root(kind: kind, name: name, module: module, thread: thread).text
      }
      let object = "an object" + (name.map { " from \($0)" } ?? "")
      return object + (root.map { ", reached from \($0.text)" } ?? "")
    }
  }
}

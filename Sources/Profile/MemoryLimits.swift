/// A limit that a process can run into, and how near it is.
public struct MemoryLimit: Sendable, Hashable {
  public enum Source: String, Sendable, Hashable, CaseIterable {
    /// The memory controller of a cgroup that the process is in.
    case cgroup
    /// RLIMIT_AS: the process's address space.
    case addressSpace = "rlimit_as"
    /// RLIMIT_DATA: its writable private memory.
    case data = "rlimit_data"
    /// The machine's memory.
    case machine
  }

  public var source: Source
  /// The most that may be used, in bytes.
  public var bytes: UInt64
  /// What is in use now of what the limit is about, in bytes: by all processes of the cgroup or the machine where
  /// it is theirs.
  public var used: UInt64

  public init(source: Source, bytes: UInt64, used: UInt64) {
    self.source = source
    self.bytes = bytes
    self.used = used
  }

  /// Bytes that are left.
  public var headroom: UInt64 { bytes > used ? bytes - used : 0 }

  /// "the limit of 2.00 GiB", with whose limit it is.
  public var name: String {
    let size = Quantities.bytes(bytes)
    return switch source {
    case .cgroup: "the limit of \(size)"
    case .addressSpace: "the address space limit of \(size)"
    case .data: "the data limit of \(size)"
    case .machine: "the machine's \(size)"
    }
  }
}

/// All limits that hold for a process.
public struct MemoryLimits: Sendable, Hashable {
  public var all: [MemoryLimit]

  public init(_ all: [MemoryLimit] = []) { self.all = all }

  /// The one with the least left: growth reaches it first.
  public var nearest: MemoryLimit? { all.min { $0.headroom < $1.headroom } }
}

/// One line of /proc/PID/maps.
public struct MemoryMapping: Sendable, Hashable {
  /// What the process may do with the memory, and whether writes are seen by others.
  public struct Permissions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// It may be read.
    public static let read = Permissions(rawValue: 1)
    /// It may be written.
    public static let write = Permissions(rawValue: 2)
    /// It may be run.
    public static let execute = Permissions(rawValue: 4)
    /// Writes go to the file and to others who map it.
    public static let shared = Permissions(rawValue: 8)
  }

  /// First address.
  public var start: UInt64
  /// The first address after it.
  public var end: UInt64
  public var permissions: Permissions
  /// Where in the file it begins.
  public var fileOffset: UInt64
  public var deviceMajor: UInt32
  public var deviceMinor: UInt32
  /// 0 for memory without a file.
  public var inode: UInt64
  /// As the process sees it, raw (use `displayable` to print it); empty for anonymous memory, or a name in brackets.
  public var path: String
  /// The file has been unlinked.
  public var isDeleted: Bool

  public init(
    start: UInt64, end: UInt64, permissions: Permissions, fileOffset: UInt64 = 0, deviceMajor: UInt32 = 0,
    deviceMinor: UInt32 = 0, inode: UInt64 = 0, path: String = "", isDeleted: Bool = false
  ) {
    self.start = start
    self.end = end
    self.permissions = permissions
    self.fileOffset = fileOffset
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.inode = inode
    self.path = path
    self.isDeleted = isDeleted
  }

  /// The link to the very file that is mapped, named as the kernel does. Following it needs CAP_SYS_ADMIN or
  /// CAP_CHECKPOINT_RESTORE.
  public func mapFilesPath(pid: Int32) -> String {
    "/proc/\(pid)/map_files/" + String(start, radix: 16) + "-" + String(end, radix: 16)
  }

  /// Its path seen from the process's root directory; by now another file may be there.
  public func rootPath(pid: Int32) -> String { "/proc/\(pid)/root" + path }
}

import Glibc

/// One line of /proc/PID/maps.
public struct MemoryMapping: Sendable, Hashable {
  public struct Permissions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let read = Permissions(rawValue: 1)
    public static let write = Permissions(rawValue: 2)
    public static let execute = Permissions(rawValue: 4)
    public static let shared = Permissions(rawValue: 8)
  }

  public var start: UInt64
  public var end: UInt64
  public var permissions: Permissions
  public var fileOffset: UInt64
  public var deviceMajor: UInt32
  public var deviceMinor: UInt32
  /// 0 for memory without a file.
  public var inode: UInt64
  /// As the process sees it; empty for anonymous memory, or a name in brackets.
  public var path: String
  /// The file has been unlinked.
  public var isDeleted: Bool
}

/// The memory map of a process.
public enum MemoryMap {
  /// Reads /proc/PID/maps.
  public static func read(pid: Int32) throws(ProcessError) -> [MemoryMapping] {
    do throws(Errno) {
      return parse(try ProcFile.read("/proc/\(pid)/maps"))
    } catch {
      switch error.code {
      case ENOENT, ESRCH: throw .noSuchProcess(pid: pid)
      case EACCES, EPERM: throw .notPermitted(pid: pid, what: "the memory map")
      default: throw .unreadable(pid: pid, path: "/proc/\(pid)/maps", code: error.code)
      }
    }
  }

  /// Parses the text of a maps file (proc(5)); lines that are not of its form are left out.
  public static func parse(_ text: [UInt8]) -> [MemoryMapping] {
    text.split(separator: UInt8(ascii: "\n")).compactMap(parseLine)
  }

  private static func parseLine(_ line: ArraySlice<UInt8>) -> MemoryMapping? {
    // Five fields, then the path, which may hold spaces and begins after a run of them.
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: true)
    guard fields.count >= 5 else { return nil }
    let range = fields[0].split(separator: UInt8(ascii: "-"))
    let device = fields[3].split(separator: UInt8(ascii: ":"))
    guard range.count == 2, device.count == 2, fields[1].count == 4, let start = hex(range[0]),
      let end = hex(range[1]), start < end, let offset = hex(fields[2]), let major = hex(device[0]),
      let minor = hex(device[1]), let inode = UInt64(String(decoding: fields[4], as: UTF8.self))
    else { return nil }
    var permissions: MemoryMapping.Permissions = []
    let flags = Array(fields[1])
    if flags[0] == UInt8(ascii: "r") { permissions.insert(.read) }
    if flags[1] == UInt8(ascii: "w") { permissions.insert(.write) }
    if flags[2] == UInt8(ascii: "x") { permissions.insert(.execute) }
    if flags[3] == UInt8(ascii: "s") { permissions.insert(.shared) }
    var path = fields.count == 6 ? unescape(fields[5].drop { $0 == UInt8(ascii: " ") }) : ""
    let suffix = " (deleted)"
    let isDeleted = inode != 0 && path.hasSuffix(suffix)
    if isDeleted { path.removeLast(suffix.count) }
    return MemoryMapping(
      start: start, end: end, permissions: permissions, fileOffset: offset,
      deviceMajor: UInt32(truncatingIfNeeded: major), deviceMinor: UInt32(truncatingIfNeeded: minor), inode: inode,
      path: path, isDeleted: isDeleted)
  }

  private static func hex(_ digits: ArraySlice<UInt8>) -> UInt64? {
    UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  /// The kernel writes a newline in a name as \012.
  private static func unescape(_ name: ArraySlice<UInt8>) -> String {
    var result: [UInt8] = []
    var rest = name
    while let byte = rest.first {
      if byte == UInt8(ascii: "\\"), rest.prefix(4).elementsEqual("\\012".utf8) {
        result.append(10)
        rest = rest.dropFirst(4)
      } else {
        result.append(byte)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// A path that opens the very file which is mapped, also if it was deleted or belongs to another mount
  /// namespace: the map_files entry, else the path under the process's root if it is still the same file.
  public static func openableFile(pid: Int32, mapping: MemoryMapping) throws(ProcessError) -> String {
    let range = String(mapping.start, radix: 16) + "-" + String(mapping.end, radix: 16)
    let mapped = "/proc/\(pid)/map_files/\(range)"
    if access(mapped, R_OK) == 0 { return mapped }
    let code = errno
    let rooted = "/proc/\(pid)/root" + mapping.path
    var status = stat()
    if stat(rooted, &status) == 0, UInt64(status.st_ino) == mapping.inode { return rooted }
    throw .unreadable(pid: pid, path: mapping.path, code: code)
  }

  /// Groups the mappings by file, in the order of their addresses. Memory without a file is left out.
  public static func modules(_ mappings: [MemoryMapping]) -> [MappedModule] {
    struct ID: Hashable {
      let major: UInt32
      let minor: UInt32
      let inode: UInt64
    }
    var order: [ID] = []
    var modules: [ID: MappedModule] = [:]
    for mapping in mappings where mapping.inode != 0 {
      let id = ID(major: mapping.deviceMajor, minor: mapping.deviceMinor, inode: mapping.inode)
      if modules[id] == nil {
        order.append(id)
        modules[id] = MappedModule(path: mapping.path, isDeleted: mapping.isDeleted, mappings: [])
      }
      modules[id]?.mappings.append(mapping)
    }
    return order.compactMap { modules[$0] }
  }
}

/// A file with all of its mappings in one process.
public struct MappedModule: Sendable, Hashable {
  public var path: String
  public var isDeleted: Bool
  public var mappings: [MemoryMapping]

  /// Whether any of it is code.
  public var isExecutable: Bool { mappings.contains { $0.permissions.contains(.execute) } }
}

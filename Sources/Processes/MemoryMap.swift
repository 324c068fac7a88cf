import Glibc

/// The memory map of a process.
public enum MemoryMap {
  /// More of a maps file is not read: half a million mappings, eight times the kernel's default limit.
  static let limit = 64 << 20

  /// Reads /proc/PID/maps.
  public static func read(pid: Int32) throws(ProcessError) -> [MemoryMapping] {
    let path = "/proc/\(pid)/maps"
    do throws(Errno) {
      var text = try ProcFile.read(path, limit: limit)
      // Cut at the limit: half a line would be a wrong mapping.
      if text.count == limit { text.removeSubrange(((text.lastIndex(of: newline) ?? -1) + 1)...) }
      return parse(text)
    } catch {
      switch error.code {
      case ENOENT, ESRCH: throw .noSuchProcess(pid: pid)
      case EACCES, EPERM: throw .notPermitted(pid: pid, what: "the memory map")
      default: throw .unreadable(pid: pid, path: path, code: error.code)
      }
    }
  }

  /// Parses the text of a maps file (proc(5)); lines that are not of its form are left out.
  public static func parse(_ text: [UInt8]) -> [MemoryMapping] {
    text.split(separator: newline).compactMap(parseLine)
  }

  /// Parses the text of a maps file.
  public static func parse(_ text: String) -> [MemoryMapping] { parse(Array(text.utf8)) }

  /// A path that opens the very file which is mapped, also if it was deleted or belongs to another mount
  /// namespace: the map_files entry, else the path under the process's root if it is still the same file.
  public static func openableFile(pid: Int32, mapping: MemoryMapping) throws(ProcessError) -> String {
    let mapped = mapping.mapFilesPath(pid: pid)
    var status = stat()
    // Only regular files: opening a mapped device could do anything. The effective user counts, for drip may
    // have its rights from file capabilities.
    if stat(mapped, &status) == 0, isRegular(status), faccessat(AT_FDCWD, mapped, R_OK, AT_EACCESS) == 0 {
      return mapped
    }
    let code = errno
    let rooted = mapping.rootPath(pid: pid)
    if mapping.path.hasPrefix("/"), stat(rooted, &status) == 0, isRegular(status), isSame(status, mapping) {
      return rooted
    }
    throw .unreadable(pid: pid, path: mapping.path, code: code == 0 ? ENOENT : code)
  }

  private static let newline = UInt8(ascii: "\n")
  private static let space = UInt8(ascii: " ")

  private static func parseLine(_ line: ArraySlice<UInt8>) -> MemoryMapping? {
    // Five fields, then the path, which may hold spaces and begins after a run of them.
    let fields = line.split(separator: space, maxSplits: 5, omittingEmptySubsequences: true)
    guard fields.count >= 5 else { return nil }
    let range = fields[0].split(separator: UInt8(ascii: "-"))
    let device = fields[3].split(separator: UInt8(ascii: ":"))
    guard range.count == 2, device.count == 2, fields[1].count == 4, let start = hex(range[0]),
      let end = hex(range[1]), start < end, let offset = hex(fields[2]), let major = hex(device[0]),
      let minor = hex(device[1]), let inode = UInt64(String(decoding: fields[4], as: UTF8.self))
    else { return nil }
    let name = fields.count == 6 ? unescape(fields[5].drop { $0 == space }) : ""
    let file = inode == 0 ? (path: name, isDeleted: false) : DeletedMark.split(name)
    return MemoryMapping(
      start: start, end: end, permissions: permissions(Array(fields[1])), fileOffset: offset,
      deviceMajor: UInt32(truncatingIfNeeded: major), deviceMinor: UInt32(truncatingIfNeeded: minor),
      inode: inode,
      path: file.path, isDeleted: file.isDeleted)
  }

  private static func permissions(_ flags: [UInt8]) -> MemoryMapping.Permissions {
    var permissions: MemoryMapping.Permissions = []
    if flags[0] == UInt8(ascii: "r") { permissions.insert(.read) }
    if flags[1] == UInt8(ascii: "w") { permissions.insert(.write) }
    if flags[2] == UInt8(ascii: "x") { permissions.insert(.execute) }
    if flags[3] == UInt8(ascii: "s") { permissions.insert(.shared) }
    return permissions
  }

  private static func hex(_ digits: ArraySlice<UInt8>) -> UInt64? {
    UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  /// The kernel writes a newline in a name as \012, and nothing else so; a backslash stays as it is.
  private static func unescape(_ name: ArraySlice<UInt8>) -> String {
    guard name.contains(UInt8(ascii: "\\")) else { return String(decoding: name, as: UTF8.self) }
    var result: [UInt8] = []
    var rest = name
    while let byte = rest.first {
      let isNewline = rest.starts(with: "\\012".utf8)
      result.append(isNewline ? newline : byte)
      rest = rest.dropFirst(isNewline ? 4 : 1)
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func isRegular(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFREG }

  private static func isSame(_ status: stat, _ mapping: MemoryMapping) -> Bool {
    let device = DeviceNumber(UInt64(status.st_dev))
    return UInt64(status.st_ino) == mapping.inode && device.major == mapping.deviceMajor
      && device.minor == mapping.deviceMinor
  }
}

/// A device as stat gives it, in its two parts: what makedev(3) does, undone. They are macros that Swift cannot see.
struct DeviceNumber {
  let major: UInt32
  let minor: UInt32

  init(_ device: UInt64) {
    major = UInt32(truncatingIfNeeded: device >> 8 & 0xfff | device >> 32 & 0xffff_f000)
    minor = UInt32(truncatingIfNeeded: device & 0xff | device >> 12 & 0xffff_ff00)
  }
}

extension MemoryMap {
  /// The two parts of a device as stat(2) gives it, as a memory map shows them.
  public static func parts(ofDevice device: UInt64) -> (major: UInt32, minor: UInt32) {
    let number = DeviceNumber(device)
    return (number.major, number.minor)
  }

  /// Where the heap segment of a process ends now, to the page; 0 if it has none.
  public static func programBreak(pid: Int32) -> UInt64 {
    let mappings = (try? read(pid: pid)) ?? []
    return mappings.first { $0.path == "[heap]" }?.end ?? 0
  }
}

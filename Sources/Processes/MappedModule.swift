/// A file with all of its mappings in one process.
public struct MappedModule: Sendable, Hashable {
  /// As the process sees it, raw.
  public var path: String
  /// The file has been unlinked.
  public var isDeleted: Bool
  public var deviceMajor: UInt32
  public var deviceMinor: UInt32
  public var inode: UInt64
  /// In the order of their addresses; never empty when it comes from `MemoryMap.modules`.
  public var mappings: [MemoryMapping]

  public init(
    path: String, isDeleted: Bool = false, deviceMajor: UInt32 = 0, deviceMinor: UInt32 = 0,
    inode: UInt64 = 0,
    mappings: [MemoryMapping]
  ) {
    self.path = path
    self.isDeleted = isDeleted
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.inode = inode
    self.mappings = mappings
  }

  /// Whether any of it is code.
  public var isExecutable: Bool { mappings.contains { $0.permissions.contains(.execute) } }

  /// Where the beginning of the file lies, the lowest address if it is mapped more than once; nil if it is not.
  public var loadAddress: UInt64? { mappings.lazy.filter { $0.fileOffset == 0 }.map(\.start).min() }
}

extension MemoryMap {
  /// Whether a file that stat has shown is the module's, by the device number and the inode.
  public static func isSame(device: UInt64, inode: UInt64, _ module: MappedModule) -> Bool {
    let device = DeviceNumber(device)
    return inode == module.inode && device.major == module.deviceMajor && device.minor == module.deviceMinor
  }

  /// Groups the mappings by file, which is to say by device and inode, in the order of their addresses. Memory
  /// without a file is left out.
  public static func modules(_ mappings: [MemoryMapping]) -> [MappedModule] {
    struct ID: Hashable {
      let major: UInt32
      let minor: UInt32
      let inode: UInt64
    }
    var positions: [ID: Int] = [:]
    var modules: [MappedModule] = []
    for mapping in mappings where mapping.inode != 0 {
      let id = ID(major: mapping.deviceMajor, minor: mapping.deviceMinor, inode: mapping.inode)
      if let position = positions[id] {
        modules[position].mappings.append(mapping)
      } else {
        positions[id] = modules.count
        modules.append(
          MappedModule(
            path: mapping.path, isDeleted: mapping.isDeleted, deviceMajor: mapping.deviceMajor,
            deviceMinor: mapping.deviceMinor, inode: mapping.inode, mappings: [mapping]))
      }
    }
    return modules
  }
}

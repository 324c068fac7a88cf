/// Why a file cannot be read as a program or library.
public enum BinaryError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file cannot be opened or read; `code` is the errno.
  case unreadable(path: String, code: Int32)
  /// A directory, device, socket or FIFO.
  case notRegularFile(path: String)
  case notELF
  case thirtyTwoBit
  case wrongByteOrder
  /// The file is for another processor; the value is its e_machine.
  case wrongMachine(UInt16)
  /// A table or segment lies outside of the file, or is absurdly large.
  case truncated(what: String)

  public var description: String {
    switch self {
    case .unreadable(let path, let code): "cannot read \(path) (errno \(code))"
    case .notRegularFile(let path): "\(path) is no regular file"
    case .notELF: "not an ELF file"
    case .thirtyTwoBit: "a 32-bit ELF file; drip reads 64-bit ones"
    case .wrongByteOrder: "a big-endian ELF file"
    case .wrongMachine(let machine):
      "an ELF file for another machine (e_machine \(machine), not \(Machine.host.name))"
    case .truncated(let what): "damaged ELF file: \(what) lies outside of the file"
    }
  }
}

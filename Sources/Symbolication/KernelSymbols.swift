internal import Glibc

/// The functions of the running kernel and its modules by address, from /proc/kallsyms. A plain value.
public struct KernelSymbols: Sendable {
  /// Where an address lies.
  public struct Name: Sendable, Hashable {
    public var function: String
    /// The module, such as "xfs", or "bpf" for BPF programs; nil for the kernel itself.
    public var module: String?
    /// Bytes from the start of the function.
    public var offset: UInt64

    public init(function: String, module: String?, offset: UInt64) {
      self.function = function
      self.module = module
      self.offset = offset
    }
  }

  /// Why there are no kernel symbols.
  public enum Failure: Error, Sendable, Hashable {
    /// /proc/kallsyms cannot be read.
    case unreadable(code: Int32)
    /// The kernel shows addresses to the privileged only (kernel.kptr_restrict, CAP_SYSLOG).
    case hidden
  }

  /// 16 bytes a function; the names lie in one block of text.
  private struct Entry {
    var address: UInt64
    var name: UInt32
    var module: UInt16
    /// In bytes; names are shorter than 512 (KSYM_NAME_LEN).
    var length: UInt16
  }

  private var entries: [Entry] = []
  private var names: [UInt8] = []
  private var modules: [String] = [""]

  /// No function is larger: what lies further behind the last symbol is not its code.
  private static let largest: UInt64 = 1 << 20

  /// Reads the symbols of the running kernel.
  public static func read(path: String = "/proc/kallsyms") throws(Failure) -> KernelSymbols {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(code: errno) }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .unreadable(code: errno) }
      guard count > 0 else { break }
      text += chunk[..<count]
    }
    return try KernelSymbols(text)
  }

  /// Parses lines "address type name" with a module in brackets behind a tab, as proc(5) has them. What is no code
  /// and what is no such line is left out.
  public init(_ text: [UInt8]) throws(Failure) {
    var numbers: [String: UInt16] = ["": 0]
    var isHidden = false
    text.withUnsafeBufferPointer { text in
      var start = 0
      while start < text.count {
        let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
        let line = UnsafeBufferPointer(rebasing: text[start..<end])
        start = end + 1
        guard let (address, name, module) = Self.parse(line) else { continue }
        guard address > 0 else {
          isHidden = true
          continue
        }
        let number = numbers[module] ?? UInt16(clamping: modules.count)
        if Int(number) == modules.count {
          modules.append(module)
          numbers[module] = number
        }
        entries.append(
          Entry(
            address: address, name: UInt32(clamping: names.count), module: number, length: UInt16(name.count))
        )
        names += line[name]
      }
    }
    guard !entries.isEmpty || !isHidden else { throw .hidden }
    // A stable order for names at one address: the first in the file.
    entries.sort { ($0.address, $0.name) < ($1.address, $1.name) }
  }

  /// How many symbols there are.
  public var count: Int { entries.count }

  /// The function around an address; nil if no symbol can cover it.
  public func name(at address: UInt64) -> Name? {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].address <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return nil }
    var index = low - 1
    while index > 0, entries[index - 1].address == entries[index].address { index -= 1 }
    let entry = entries[index]
    guard address - entry.address < Self.largest else { return nil }
    let bytes = names[Int(entry.name)..<Int(entry.name) + Int(entry.length)]
    let module = modules[Int(entry.module)]
    return Name(
      function: SafeText.clean(String(decoding: bytes, as: UTF8.self)), module: module.isEmpty ? nil : module,
      offset: address - entry.address)
  }

  /// Those of these modules alone.
  func only(modules wanted: Set<String>) -> KernelSymbols {
    var result = self
    result.entries = entries.filter { wanted.contains(modules[Int($0.module)]) }
    return result
  }

  /// The code of the functions of these names, each to the next symbol. What is not there is left out.
  public func ranges(of functions: [String]) -> [Range<UInt64>] {
    let wanted = Set(functions.map { Array($0.utf8) })
    var found: [Range<UInt64>] = []
    for index in entries.indices.dropLast() {
      let entry = entries[index]
      let name = names[Int(entry.name)..<Int(entry.name) + Int(entry.length)]
      guard wanted.contains(where: { name.elementsEqual($0) }),
        let next = entries[(index + 1)...].first(where: { $0.address > entry.address })
      else { continue }
      found.append(entry.address..<next.address)
    }
    return found
  }

  /// Address, place of the name in the line, and module of one line of code; nil for data and for broken lines.
  private static func parse(
    _ line: UnsafeBufferPointer<UInt8>
  ) -> (address: UInt64, name: Range<Int>, module: String)? {
    var address: UInt64 = 0
    var index = 0
    while index < line.count, let digit = hexDigit(line[index]) {
      address = address << 4 | UInt64(digit)
      index += 1
    }
    let space = UInt8(ascii: " ")
    guard index > 0, index <= 16, index + 3 < line.count, line[index] == space, line[index + 2] == space,
      // Text, weak text, and what the kernel marks so for its modules.
      [UInt8(ascii: "t"), UInt8(ascii: "T"), UInt8(ascii: "w"), UInt8(ascii: "W")].contains(line[index + 1])
    else { return nil }
    let start = index + 3
    let end = line[start...].firstIndex { $0 == UInt8(ascii: "\t") || $0 == space } ?? line.count
    guard end > start, end - start < 4096 else { return nil }
    var module = ""
    if let open = line[end...].firstIndex(of: UInt8(ascii: "[")),
      let close = line[open...].firstIndex(of: UInt8(ascii: "]"))
    {
      module = SafeText.clean(String(decoding: line[(open + 1)..<close], as: UTF8.self))
    }
    return (address, start..<end, module)
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

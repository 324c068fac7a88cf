public import Profile

/// One frame of Python as the kernel half tells it (bpf/include/abi.h).
public struct PythonFrame: Sendable, Hashable {
  /// Address of the code object.
  public var code: UInt64
  /// The code unit that runs; nil before the first one.
  public var unit: Int?
  /// A C frame of the interpreter begins with it: the next one belongs to another.
  public var isEntry: Bool
  /// As far as it could be named.
  public var frame: Frame

  public init(word: UInt64) {
    code = (word & (1 << 44 - 1)) << 3
    let unit = Int(word >> 44 & (1 << 18 - 1))
    // The largest stands for those that have no room.
    self.unit = unit == 0 || unit == 1 << 18 - 1 ? nil : unit - 1
    isEntry = word >> 62 & 1 == 1
    frame = Frame(address: code, module: PythonFrames.module, offset: code &+ UInt64(self.unit ?? 0))
  }

  /// The same with the names of its code object.
  public func named(_ object: PythonCode) -> PythonFrame {
    var result = self
    result.frame.function = object.name
    result.frame.file = object.file
    result.frame.line = unit.flatMap(object.line) ?? (object.firstLine > 0 ? object.firstLine : nil)
    return result
  }
}

/// How Python's frames and native ones become one stack.
public enum PythonFrames {
  /// What stands in place of a file's path.
  public static let module = "[python]"
  /// The C function of CPython that runs Python's.
  static let interpreter = "_PyEval_EvalFrameDefault"

  /// The native ones among the words of a stack: Python's stand before them and have their top bit set.
  public static func native(_ words: [UInt64], isPython: Bool) -> ArraySlice<UInt64> {
    isPython ? words.drop { $0 >> 63 == 1 } : words[...]
  }

  /// Before each frame of the interpreter the functions that it was running, innermost first. What belongs to
  /// interpreter frames that are not in the native stack comes at its end.
  public static func merge(native: [Frame], python: [PythonFrame]) -> [Frame] {
    var result: [Frame] = []
    var rest = python[...]
    for frame in native {
      if frame.function == interpreter, !frame.inlined, !rest.isEmpty {
        let count = rest.firstIndex(where: \.isEntry).map { $0 - rest.startIndex + 1 } ?? rest.count
        result += rest.prefix(count).map(\.frame)
        rest = rest.dropFirst(count)
      }
      result.append(frame)
    }
    return result + rest.map(\.frame)
  }
}

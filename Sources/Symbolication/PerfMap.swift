/// The functions that a runtime says it has generated, by address: the contents of a perf map. The format is that of
/// tools/perf/Documentation/jit-interface.txt of the Linux sources: lines "START SIZE NAME", the numbers hexadecimal.
///
/// A runtime appends a line whenever it writes code, also where other code was before: of two entries for one
/// address the later one is right. The text is the target's and taken to be hostile.
struct PerfMap {
  /// Pieces of code that are kept; lines beyond are counted as bad ones.
  static let pieceLimit = 1 << 20
  /// Bytes of names that are kept.
  private static let nameLimit = 64 << 20

  /// Lines that say nothing, or for which there was no room.
  private(set) var badLines: UInt64 = 0
  /// Disjoint, by ascending address.
  private(set) var pieces: [Piece] = []
  private var names: [UInt8] = []
  /// The beginning of a line whose end was not there yet.
  private var rest: [UInt8] = []
  /// The rest of a line that is longer than any sane one is passed over.
  private var isPassingOver = false

  struct Piece: Hashable {
    var start: UInt64
    var end: UInt64
    fileprivate var nameStart: UInt32
    fileprivate var nameCount: UInt32
  }

  /// Adds the next bytes of the text, which may end within a line.
  mutating func append(_ text: [UInt8]) {
    var added: [Piece] = []
    var index = text.startIndex
    while index < text.endIndex {
      guard let newline = text[index...].firstIndex(of: UInt8(ascii: "\n")) else {
        keep(text[index...])
        break
      }
      if isPassingOver {
        isPassingOver = false
      } else if rest.isEmpty {
        add(text[index..<newline], to: &added)
      } else {
        keep(text[index..<newline])
        let line = rest
        rest = []
        if isPassingOver { isPassingOver = false } else { add(line[...], to: &added) }
      }
      index = newline + 1
    }
    guard !added.isEmpty else { return }
    pieces = Self.overlay(pieces + added)
  }

  /// The name of the function at an address, as the runtime wrote it.
  func name(at address: UInt64) -> String? {
    var low = 0
    var high = pieces.count
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0, address < pieces[low - 1].end else { return nil }
    let start = Int(pieces[low - 1].nameStart)
    return String(decoding: names[start..<(start + Int(pieces[low - 1].nameCount))], as: UTF8.self)
  }

  private mutating func keep(_ part: ArraySlice<UInt8>) {
    guard !isPassingOver else { return }
    rest += part
    guard rest.count > 2 * SafeText.limit else { return }
    badLines += 1
    isPassingOver = true
    rest = []
  }

  private mutating func add(_ line: ArraySlice<UInt8>, to added: inout [Piece]) {
    // An empty line is no information and no mistake.
    guard !line.isEmpty else { return }
    var left = line
    guard let start = Self.number(&left), let size = Self.number(&left), size > 0,
      start <= UInt64.max - size, !left.isEmpty, pieces.count + added.count < Self.pieceLimit
    else {
      badLines += 1
      return
    }
    let name = left.prefix(SafeText.limit)
    guard names.count + name.count <= Self.nameLimit else {
      badLines += 1
      return
    }
    added.append(
      Piece(
        start: start, end: start + size, nameStart: UInt32(names.count), nameCount: UInt32(name.count)))
    names += name
  }

  /// Takes a hexadecimal number and the blanks behind it, which must be there.
  private static func number(_ text: inout ArraySlice<UInt8>) -> UInt64? {
    if text.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")]) { text = text.dropFirst(2) }
    var value: UInt64 = 0
    var digits = 0
    while let byte = text.first, let digit = hexadecimal(byte) {
      guard value >> 60 == 0 else { return nil }
      value = value << 4 | digit
      digits += 1
      text.removeFirst()
    }
    guard digits > 0, text.first == UInt8(ascii: " ") else { return nil }
    text = text.drop { $0 == UInt8(ascii: " ") }
    return value
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  /// The pieces cut so that none overlaps another and each address belongs to the last one given: a sweep over the
  /// addresses, with a heap of the pieces that lie there.
  private static func overlay(_ all: [Piece]) -> [Piece] {
    let order = all.indices.sorted { (all[$0].start, $0) < (all[$1].start, $1) }
    var result: [Piece] = []
    result.reserveCapacity(all.count)
    var here = LatestFirst()
    var next = 0
    var position: UInt64 = 0
    while true {
      while let top = here.first, all[top].end <= position { here.removeFirst() }
      if here.first == nil {
        guard next < order.count else { return result }
        position = max(position, all[order[next]].start)
      }
      while next < order.count, all[order[next]].start <= position {
        here.insert(order[next])
        next += 1
      }
      guard let top = here.first, all[top].end > position else { continue }
      let end = next < order.count ? min(all[top].end, all[order[next]].start) : all[top].end
      var piece = all[top]
      piece.start = position
      piece.end = end
      if let last = result.last, last.end == position, last.nameStart == piece.nameStart,
        last.nameCount == piece.nameCount
      {
        result[result.count - 1].end = end
      } else {
        result.append(piece)
      }
      position = end
    }
  }
}

/// A binary heap of numbers with the largest first.
private struct LatestFirst {
  private var numbers: [Int] = []

  var first: Int? { numbers.first }

  mutating func insert(_ number: Int) {
    numbers.append(number)
    var child = numbers.count - 1
    while child > 0, numbers[(child - 1) / 2] < numbers[child] {
      numbers.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() {
    numbers.swapAt(0, numbers.count - 1)
    numbers.removeLast()
    var parent = 0
    while 2 * parent + 1 < numbers.count {
      var child = 2 * parent + 1
      if child + 1 < numbers.count, numbers[child + 1] > numbers[child] { child += 1 }
      guard numbers[child] > numbers[parent] else { return }
      numbers.swapAt(child, parent)
      parent = child
    }
  }
}

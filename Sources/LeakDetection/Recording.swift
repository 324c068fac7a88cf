public import Profile

/// A stream of snapshots as text, so that what a detector was told can be told again: one JSON value a line, first
/// `{"drip_recording":1}`, then a poll each:
///
///     {"t":12.5,"sites":[[id,process,allocs,frees,allocated,freed,sampled]],"width":0.5,"bins":26,"rows":[[id,objects,bytes]]}
///
/// `t` and `width` are seconds, counts are of objects, the rest is bytes. `sampled` is how many objects are in the sample,
/// null where all are counted. A row has its objects and bytes by bin, oldest first. A poll without cohorts has none of
/// the last three. What a detector does not look at is not in it.
public enum Recording {
  /// Another meaning of a line has another number.
  public static let version = 1
  /// What a reader takes at most: sites of a poll (2^20, as the kernel's tables hold), and bytes of a line.
  static let mostSites = 1 << 20
  static let mostBytes = 1 << 30
  /// Times and widths, in seconds: 300 years.
  static let mostSeconds = 1e10

  /// The first line, without its newline.
  public static var header: String { "{\"drip_recording\":\(version)}" }

  /// One poll, without its newline. Numbers are written so that they are read as the same.
  public static func line(_ snapshot: Snapshot) -> String {
    var text = "{\"t\":\(snapshot.elapsedSeconds),\"sites\":["
    text += snapshot.sites.map(site).joined(separator: ",")
    text += "]"
    if let cohorts = snapshot.cohorts {
      text += ",\"width\":\(cohorts.width),\"bins\":\(cohorts.bins),\"rows\":["
      text += cohorts.rows.map(row).joined(separator: ",")
      text += "]"
    }
    return text + "}"
  }

  private static func site(_ counts: SiteCounts) -> String {
    let sampled = counts.sampled.map { "\($0.objects)" } ?? "null"
    return
      "[\(counts.id),\(counts.process),\(counts.allocs),\(counts.frees),\(counts.allocatedBytes),\(counts.freedBytes),\(sampled)]"
  }

  private static func row(_ row: BirthCohorts.Row) -> String {
    func list(_ values: [some BinaryInteger]) -> String {
      "[" + values.map { "\($0)" }.joined(separator: ",") + "]"
    }
    return "[\(row.site),\(list(row.objects)),\(list(row.bytes))]"
  }
}

/// Why a recording cannot be read.
public struct RecordingError: Error, Hashable, CustomStringConvertible {
  /// Counted from 1.
  public let line: Int
  public let reason: String
  public var description: String { "line \(line): \(reason)" }
}

/// Reads what `Recording` writes, its keys in that order and no blanks, line by line; trusts none of it.
public struct RecordingReader {
  private var line = 0

  public init() {}

  /// The poll that a line tells of; nil for the first line, which tells the version. Throws at the first thing that is not
  /// as it must be; what comes after an error is not to be believed.
  public mutating func read(_ text: some StringProtocol) throws(RecordingError) -> Snapshot? {
    line += 1
    do throws(Unreadable) {
      guard text.utf8.count <= Recording.mostBytes else { throw Unreadable("longer than any poll") }
      var cursor = Cursor(text)
      guard line > 1 else {
        try cursor.skip("{\"drip_recording\":")
        let version: Int = try cursor.integer()
        try cursor.skip("}")
        try cursor.end()
        guard version == Recording.version else { throw Unreadable("version \(version) is not known") }
        return nil
      }
      return try Self.snapshot(&cursor)
    } catch {
      throw RecordingError(line: line, reason: error.reason)
    }
  }

  private static func snapshot(_ cursor: inout Cursor) throws(Unreadable) -> Snapshot {
    try cursor.skip("{\"t\":")
    var snapshot = Snapshot(elapsedSeconds: try cursor.number(), sites: [])
    guard (0...Recording.mostSeconds).contains(snapshot.elapsedSeconds) else {
      throw Unreadable("no such time")
    }
    try cursor.skip(",\"sites\":")
    snapshot.sites = try cursor.list(most: Recording.mostSites, site)
    if cursor.take(",\"width\":") {
      let width = try cursor.number()
      try cursor.skip(",\"bins\":")
      let bins: Int = try cursor.integer()
      guard (1e-3...Recording.mostSeconds).contains(width), (1...BirthCohorts.binCount).contains(bins) else {
        throw Unreadable("no such bins")
      }
      try cursor.skip(",\"rows\":")
      let rows = try cursor.list(most: Recording.mostSites) { cursor throws(Unreadable) in
        try row(&cursor, bins)
      }
      // A row is looked up by halving.
      guard zip(rows, rows.dropFirst()).allSatisfy({ $0.site < $1.site }) else {
        throw Unreadable("rows are not in the order of their sites")
      }
      snapshot.cohorts = BirthCohorts(width: width, bins: bins, rows: rows)
    }
    try cursor.skip("}")
    try cursor.end()
    return snapshot
  }

  private static func site(_ cursor: inout Cursor) throws(Unreadable) -> SiteCounts {
    try cursor.skip("[")
    let id: UInt32 = try cursor.integer()
    try cursor.skip(",")
    let process: Int = try cursor.integer()
    guard process >= 0 else { throw Unreadable("no such process") }
    var counts: [UInt64] = []
    for _ in 0..<4 {
      try cursor.skip(",")
      counts.append(try cursor.integer())
    }
    try cursor.skip(",")
    var sampled: SampledOutstanding?
    if !cursor.take("null") {
      sampled = SampledOutstanding(objects: try cursor.integer(), bytesError: 0, countError: 0)
    }
    try cursor.skip("]")
    return SiteCounts(
      id: id, process: process, allocs: counts[0], frees: counts[1], allocatedBytes: counts[2],
      freedBytes: counts[3], sampled: sampled)
  }

  private static func row(_ cursor: inout Cursor, _ bins: Int) throws(Unreadable) -> BirthCohorts.Row {
    try cursor.skip("[")
    let site: UInt32 = try cursor.integer()
    try cursor.skip(",")
    let objects: [UInt32] = try cursor.list(most: bins) { cursor throws(Unreadable) in try cursor.integer() }
    try cursor.skip(",")
    let bytes: [UInt64] = try cursor.list(most: bins) { cursor throws(Unreadable) in try cursor.integer() }
    try cursor.skip("]")
    guard objects.count == bins, bytes.count == bins else { throw Unreadable("a row of other bins") }
    return BirthCohorts.Row(site: site, objects: objects, bytes: bytes)
  }
}

private struct Unreadable: Error {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// A place in a line.
private struct Cursor {
  private let bytes: [UInt8]
  private var place = 0

  init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

  mutating func take(_ word: StaticString) -> Bool {
    guard bytes.count - place >= word.utf8CodeUnitCount else { return false }
    let isThere = word.withUTF8Buffer { $0.elementsEqual(bytes[place..<(place + $0.count)]) }
    if isThere { place += word.utf8CodeUnitCount }
    return isThere
  }

  mutating func skip(_ word: StaticString) throws(Unreadable) {
    guard take(word) else { throw Unreadable("`\(word)` is missing at byte \(place + 1)") }
  }

  func end() throws(Unreadable) {
    guard place == bytes.count else { throw Unreadable("something follows at byte \(place + 1)") }
  }

  /// The characters of a number, which is no longer than the longest that there is.
  private mutating func digits() throws(Unreadable) -> String {
    let start = place
    while place < bytes.count, place - start < 32, Self.isOfNumber(bytes[place]) { place += 1 }
    guard place > start else { throw Unreadable("a number is missing at byte \(start + 1)") }
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  private static func isOfNumber(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
      UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }

  mutating func number() throws(Unreadable) -> Double {
    let text = try digits()
    guard let value = Double(text), value.isFinite else { throw Unreadable("`\(text)` is no number") }
    return value
  }

  mutating func integer<Value: FixedWidthInteger>() throws(Unreadable) -> Value {
    let text = try digits()
    guard let value = Value(text) else {
      throw Unreadable("`\(text)` is no number of \(Value.bitWidth) bits")
    }
    return value
  }

  mutating func list<Element>(
    most: Int, _ element: (inout Cursor) throws(Unreadable) -> Element
  ) throws(Unreadable) -> [Element] {
    try skip("[")
    var result: [Element] = []
    if take("]") { return result }
    while true {
      guard result.count < most else { throw Unreadable("a list of more than \(most)") }
      result.append(try element(&self))
      if take("]") { return result }
      try skip(",")
    }
  }
}

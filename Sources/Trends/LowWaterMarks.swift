/// What a process has held at least, over time: in buckets of four widths, each four times the one before, sixteen buckets
/// of each. With samples every 10 s they reach back 2 min 40 s, 11 min, 43 min and 2 h 50 min. 512 bytes a process,
/// however long it is watched.
///
/// A bucket keeps its lowest sample. Memory that is taken and given back within a bucket leaves no trace so; what stays
/// taken lifts every bucket after it.
struct LowWaterMarks: Sendable, Hashable {
  static let levels = 4
  static let buckets = 16
  static let factor = 4

  /// The lowest sample of a stretch of time.
  struct Mark: Sendable, Hashable {
    /// Seconds since the first sample.
    var seconds: Float
    /// Pages of 4 KiB.
    var pages: UInt32

    var bytes: Double { Double(pages) * 4096 }
  }

  /// One after the other by level, oldest first within each; `counts` says how many a level has.
  private var marks: [Mark]
  private var counts = [UInt8](repeating: 0, count: levels)
  /// The lowest of the bucket that is being filled, and how many of the level below it has had.
  private var open = [Mark?](repeating: nil, count: levels)
  private var filled = [UInt8](repeating: 0, count: levels)

  init() { marks = [Mark](repeating: Mark(seconds: 0, pages: 0), count: Self.levels * Self.buckets) }

  /// Adds a sample; the first level's buckets hold one each.
  mutating func add(seconds: Double, bytes: UInt64) {
    add(Mark(seconds: Float(seconds), pages: UInt32(clamping: bytes / 4096)), to: 0)
  }

  private mutating func add(_ mark: Mark, to level: Int) {
    push(mark, level)
    let above = level + 1
    guard above < Self.levels else { return }
    open[above] = open[above].map { $0.pages <= mark.pages ? $0 : mark } ?? mark
    filled[above] += 1
    guard Int(filled[above]) == Self.factor, let lowest = open[above] else { return }
    filled[above] = 0
    open[above] = nil
    add(lowest, to: above)
  }

  private mutating func push(_ mark: Mark, _ level: Int) {
    let start = level * Self.buckets
    if Int(counts[level]) == Self.buckets {
      for index in start..<start + Self.buckets - 1 { marks[index] = marks[index + 1] }
      marks[start + Self.buckets - 1] = mark
    } else {
      marks[start + Int(counts[level])] = mark
      counts[level] += 1
    }
  }

  /// The full buckets of a level, oldest first.
  func level(_ level: Int) -> ArraySlice<Mark> {
    let start = level * Self.buckets
    return marks[start..<start + Int(counts[level])]
  }

  /// A bucket of this level was filled by the latest sample.
  func isFresh(_ level: Int) -> Bool { level == 0 || filled[1...level].allSatisfy { $0 == 0 } }
}

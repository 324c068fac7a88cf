/// What a reader wants to see of the call sites: which stacks, and which of their frames. Pure; the counts stay with
/// the sites, and what was left out is told.
public struct StackView {
  /// Fold the frames of allocators and of the C and C++ libraries.
  public var foldsLibraries: Bool
  /// Keep stacks only that have a frame which matches one of these; all of them if there are none.
  public var focus: [StackPattern]
  /// Leave out stacks that have a frame which matches one of these.
  public var ignore: [StackPattern]
  /// Fold frames that match one of these.
  public var hide: [StackPattern]

  public init(
    foldsLibraries: Bool = false, focus: [StackPattern] = [], ignore: [StackPattern] = [],
    hide: [StackPattern] = []
  ) {
    self.foldsLibraries = foldsLibraries
    self.focus = focus
    self.ignore = ignore
    self.hide = hide
  }

  /// True if every stack is shown as it is. Only then can names be left for the stacks that are shown.
  public var isPlain: Bool { !foldsLibraries && focus.isEmpty && ignore.isEmpty && hide.isEmpty }

  /// The filters in plain words, for the head of a report.
  public var descriptions: [String] {
    focus.map { "stacks through a frame that matches \($0.text)" }
      + ignore.map { "stacks through no frame that matches \($0.text)" }
  }

  /// The sites as the view shows them, in their order, those that have become equal added up.
  public func apply(_ sites: [Site]) -> (sites: [Site], summary: ViewSummary) {
    var summary = ViewSummary()
    var shown: [Site] = []
    var places: [Key: Int] = [:]
    for var site in sites {
      guard isWanted(site.frames) else {
        summary.filteredSites += 1
        summary.filteredBytes &+= site.outstandingBytes
        summary.filteredCount &+= site.outstandingCount
        continue
      }
      if fold(&site.frames, &summary) {
        let key = Key(pid: site.pid, frames: site.frames.map(Self.place), end: site.stackEnd)
        if let place = places[key] {
          shown[place].add(site)
          summary.mergedSites += 1
          continue
        }
        places[key] = shown.count
      }
      shown.append(site)
    }
    return (shown, summary)
  }

  private struct Key: Hashable {
    let pid: Int32
    let frames: [Frame]
    let end: StackEnd
  }

  /// A frame as far as a reader can tell it from others: several calls on one line are one place.
  private static func place(_ frame: Frame) -> Frame {
    var place = frame
    place.address = 0
    if frame.function != nil, frame.line != nil { place.offset = 0 }
    return place
  }

  private func isWanted(_ frames: [Frame]) -> Bool {
    if !focus.isEmpty, !frames.contains(where: { frame in focus.contains { $0.matches(frame) } }) {
      return false
    }
    return !frames.contains { frame in ignore.contains { $0.matches(frame) } }
  }

  /// Takes out what is folded. A stack that would be left with nothing stays whole: it says more than an empty one.
  /// True if the view folds at all.
  private func fold(_ frames: inout [Frame], _ summary: inout ViewSummary) -> Bool {
    guard foldsLibraries || !hide.isEmpty else { return false }
    let left = frames.filter { frame in
      !(foldsLibraries && LibraryFrame.isLibrary(frame)) && !hide.contains { $0.matches(frame) }
    }
    if !left.isEmpty {
      summary.foldedFrames += UInt64(frames.count - left.count)
      frames = left
    }
    return true
  }
}

/// A regular expression that frames are compared with: their functions, source files and modules.
public final class StackPattern {
  /// As the user wrote it.
  public let text: String
  private let expression: Regex<AnyRegexOutput>
  /// Names repeat from stack to stack.
  private var known: [String: Bool] = [:]

  /// Throws what `Regex` throws for a text that is no regular expression.
  public init(_ text: String) throws {
    self.text = text
    expression = try Regex(text)
  }

  /// True if the expression occurs in the function's name, the path of the source file, or the module's path; for a
  /// frame without a name, in "module+0xoffset".
  public func matches(_ frame: Frame) -> Bool {
    occurs(in: frame.function ?? CallSite.place(frame)) || frame.file.map(occurs) ?? false
      || frame.module.map(occurs) ?? false
  }

  private func occurs(in name: String) -> Bool {
    if let answer = known[name] { return answer }
    // An expression that fails while it runs matches nothing.
    let answer = (try? expression.firstMatch(in: name)) != nil
    known[name] = answer
    return answer
  }
}

/// What a view has left out or put together.
public struct ViewSummary: Sendable, Hashable {
  /// Frames that were folded, over all stacks shown.
  public var foldedFrames: UInt64 = 0
  /// Stacks that became equal to another by folding, and are shown as one with it.
  public var mergedSites = 0
  /// Call sites that a filter left out, and what is outstanding there.
  public var filteredSites = 0
  public var filteredBytes: UInt64 = 0
  public var filteredCount: UInt64 = 0

  public init() {}

  /// "512 frames folded (allocator, C and C++ library); 12 stacks joined", or nil if nothing was folded.
  public var folded: String? {
    guard foldedFrames > 0 else { return nil }
    let frames = "\(Quantities.count(foldedFrames)) frame\(foldedFrames == 1 ? "" : "s") folded"
    guard mergedSites > 0 else { return frames }
    return frames + "; \(Quantities.count(UInt64(mergedSites))) of the stacks became equal to another by that"
  }
}

extension Site {
  /// Adds up what two stacks did that are shown as one.
  mutating func add(_ other: Site) {
    ids += other.ids
    outstandingBytes &+= other.outstandingBytes
    outstandingCount &+= other.outstandingCount
    allocs &+= other.allocs
    frees &+= other.frees
    allocatedBytes &+= other.allocatedBytes
    oldestSeconds = [oldestSeconds, other.oldestSeconds].compactMap { $0 }.max()
    if let growth = other.growthBytesPerSecond {
      growthBytesPerSecond = (growthBytesPerSecond ?? 0) + growth
    }
    if let more = other.sampled {
      // Objects are kept independently of each other, so variances add up.
      let own = sampled ?? SampledOutstanding(objects: 0, bytesError: 0, countError: 0)
      sampled = SampledOutstanding(
        objects: own.objects &+ more.objects,
        bytesError: (own.bytesError * own.bytesError + more.bytesError * more.bytesError).squareRoot(),
        countError: (own.countError * own.countError + more.countError * more.countError).squareRoot())
    }
  }
}

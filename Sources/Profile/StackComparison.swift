/// What comes of comparing a stack with the second unwinder's.
public enum StackVerdict: Sendable, Hashable {
  /// All frames are alike.
  case agrees
  /// They part at this frame (0 is the innermost) although the second one had all that it needs.
  case differs(at: Int)
  /// They part where the second one cannot know.
  case notComparable(Reason)

  public enum Reason: String, Sendable, Hashable, CaseIterable {
    /// Its copy of the stack does not reach further.
    case copyEnded = "copy_ended"
    /// No file says how the frame is to be unwound.
    case noRules = "no_rules"
    /// The stack holds the address of a return probe in place of the true one.
    case returnProbe = "return_probe"
    /// Libraries have come or gone since: what is mapped now is not what the stack was made of.
    case mappingsChanged = "mappings_changed"
    /// The frames of the walk are not known: the site table was full.
    case noFrames = "no_frames"
  }
}

/// A stack as the second unwinder gives it.
public struct ReferenceStack: Sendable, Hashable {
  /// Return addresses, innermost first.
  public var frames: [UInt64]
  /// How many of the frames were found before a word outside of the copied stack was asked for: what follows is
  /// guesswork. `Int.max` if all that was asked for was there.
  public var reliable: Int

  public init(frames: [UInt64], reliable: Int = .max) {
    self.frames = frames
    self.reliable = reliable
  }

  /// What is known of an address of the process.
  public enum Place: Sendable, Hashable {
    /// Code with call frame information.
    case ruled
    /// Code without.
    case bare
    /// The kernel's page to which hidden return addresses lead.
    case returnProbe
    /// No code at all.
    case nothing
  }

  /// Compares a walk's frames with these. `place` tells what lies at an address.
  ///
  /// A frame that lies in no code is none: what led there was the bottom of a stack that is not marked as such (the
  /// walk in the kernel ends there, too). A walk that was cut at the depth limit is compared as far as it goes.
  public func compare(
    _ walked: [UInt64], end: StackEnd, place: (UInt64) -> Place
  ) -> StackVerdict {
    guard !walked.isEmpty else { return .notComparable(.noFrames) }
    var own = frames
    if end == .truncated { own = Array(own.prefix(walked.count)) }
    guard own != walked else { return .agrees }
    // A call may be the last instruction of its code, and an interrupted one the first.
    let bottom = own.indices.dropFirst().first {
      place(own[$0] &- 1) == .nothing && place(own[$0]) == .nothing
    }
    if let bottom { own = Array(own.prefix(bottom)) }
    guard own != walked else { return .agrees }

    let parting = zip(own, walked).enumerated().first { $1.0 != $1.1 }?.offset ?? min(own.count, walked.count)
    if parting < own.count, place(own[parting]) == .returnProbe { return .notComparable(.returnProbe) }
    if parting >= reliable { return .notComparable(.copyEnded) }
    // The frame before led to where they part.
    if parting > 0, place(own[parting - 1] &- 1) != .ruled { return .notComparable(.noRules) }
    return .differs(at: parting)
  }
}

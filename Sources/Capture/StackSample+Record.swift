import CProbes
import Profile

extension StackEnd {
  /// The end of a walk as the kernel half tells it.
  init(drip code: UInt64) {
    self =
      switch UInt32(truncatingIfNeeded: code) {
      case DRIP_END_COMPLETE.rawValue: .complete
      case DRIP_END_TRUNCATED.rawValue: .truncated
      case DRIP_END_UNREADABLE.rawValue: .unreadable
      case DRIP_END_BROKEN.rawValue: .broken
      case DRIP_END_UNMAPPED.rawValue: .unmapped
      default: .missing
      }
  }
}

extension StackSample {
  /// A record of the self-check's ring buffer and its site, whose frames are still to be filled in; nil if it is no
  /// whole one. The layout is that of `drip_check`.
  static func read(_ record: UnsafeRawBufferPointer) -> (site: UInt32, sample: StackSample)? {
    guard record.count >= Int(DRIP_CHECK_BYTES) else { return nil }
    func word(_ index: Int) -> UInt64 { record.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
    func half(_ offset: Int) -> Int { Int(record.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    let site = record.loadUnaligned(fromByteOffset: Int(DRIP_CHECK_SITE_AT), as: UInt32.self)
    let process = half(Int(DRIP_CHECK_SITE_AT) + 4)
    let count = min(half(Int(DRIP_CHECK_SITE_AT) + 6), Int(DRIP_FRAMES))
    let room = (record.count - Int(DRIP_CHECK_STACK_AT)) / Int(DRIP_PAGE_BYTES)
    let pages = min(half(Int(DRIP_CHECK_SITE_AT) + 8), room)
    let end = record[Int(DRIP_CHECK_SITE_AT) + 10]
    let hasSaved = record[Int(DRIP_CHECK_SITE_AT) + 11] != 0
    let change = record.loadUnaligned(fromByteOffset: Int(DRIP_CHECK_SITE_AT) + 12, as: UInt32.self)
    let firstFrame = Int(DRIP_CHECK_FRAMES_AT) / 8
    let stack = Int(DRIP_CHECK_STACK_AT)
    let sample = StackSample(
      process: process, pc: word(0), sp: word(1), fp: word(2), saved: hasSaved ? (3..<8).map(word) : nil,
      walked: count == 0 ? nil : (firstFrame..<firstFrame + count).map(word), stored: [],
      end: StackEnd(drip: UInt64(end)), change: change, base: word(8),
      bytes: Array(record[stack..<stack + pages * Int(DRIP_PAGE_BYTES)]))
    return (site, sample)
  }
}

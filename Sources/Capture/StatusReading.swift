import CProbes
import Libbpf
import Profile

extension CallStack {
  /// The frames that a slot of the site table leads to.
  init(_ site: drip_site, frames: borrowing MappedArray) {
    let perBlock = Int(DRIP_BLOCK_FRAMES)
    let count = Int(site.frame_count)
    let first = Int(site.first_block)
    guard count > 0, first + (count + perBlock - 1) / perBlock <= frames.count else {
      self.init(addresses: [], end: .missing)
      return
    }
    let addresses = frames.withElements(drip_frame_block.self) { blocks in
      let words = UnsafeRawPointer(blocks + first).assumingMemoryBound(to: UInt64.self)
      return (0..<count).map { words[$0] }
    }
    self.init(addresses: addresses, end: StackEnd(drip: site.end))
  }
}

extension Losses {
  /// Those that the BPF programs count themselves.
  init(status: borrowing MappedArray) {
    self.init()
    let read = status.withElements(drip_status.self) { status in
      let counters = UnsafeRawPointer(status).assumingMemoryBound(to: UInt64.self)
      return Self.counters.map { counters[Int($0.1.rawValue)] }
    }
    for (index, value) in read.enumerated() { self[Self.counters[index].0] = value }
  }

  private static let counters: [(LossKind, drip_loss)] = [
    (.tableFull, DRIP_LOSS_TABLE_FULL), (.inflightFull, DRIP_LOSS_INFLIGHT_FULL),
    (.lostReturns, DRIP_LOSS_LOST_RETURNS), (.unreadableResult, DRIP_LOSS_UNREADABLE_RESULT),
    (.staleAddresses, DRIP_LOSS_STALE_ADDRESSES), (.sitesFull, DRIP_LOSS_SITES_FULL),
    (.framesFull, DRIP_LOSS_FRAMES_FULL), (.scratchBusy, DRIP_LOSS_SCRATCH_BUSY),
    (.truncatedStacks, DRIP_LOSS_TRUNCATED_STACKS), (.unreadableStacks, DRIP_LOSS_UNREADABLE_STACKS),
    (.unmatchedFrees, DRIP_LOSS_UNMATCHED_FREES), (.collidingSites, DRIP_LOSS_COLLIDING_SITES),
    (.regionEvents, DRIP_LOSS_REGION_EVENTS), (.uncheckedStacks, DRIP_LOSS_CHECKS),
    (.unmappedStacks, DRIP_LOSS_UNMAPPED_STACKS), (.linkerEvents, DRIP_LOSS_LINKER_EVENTS),
  ]
}

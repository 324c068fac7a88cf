import CSampler
import Foundation
import Testing

/// The table is one for the process, as in a target: each test uses addresses of its own, and takes them out.
@Suite("sampler table", .serialized)
struct TableTests {
  private func pointer(_ address: UInt) -> UnsafeRawPointer {
    guard let pointer = UnsafeRawPointer(bitPattern: address) else { fatalError("address 0") }
    return pointer
  }

  @Test("what was put in is found, once, with its size; what was not is not")
  func inAndOut() {
    let addresses = (1...20_000).map { UInt($0) * 4720 + 0x7f00_0000_0000 }
    var refused = 0
    for (index, address) in addresses.enumerated() {
      #expect(!drip_remove(pointer(address), nil))
      switch drip_insert(pointer(address), UInt64(index)) {
      case DRIP_INSERTED: #expect(drip_may_have(pointer(address)))
      default: refused += 1
      }
    }
    #expect(refused == 0)
    #expect(!drip_remove(pointer(addresses[0] + 16), nil))
    for (index, address) in addresses.enumerated() {
      var size: UInt64 = 0
      #expect(drip_remove(pointer(address), &size) && size == UInt64(index))
      #expect(!drip_remove(pointer(address), nil))
    }
    // The filter is empty again: it does not fill up with what is long gone.
    for address in addresses { #expect(!drip_may_have(pointer(address))) }
  }

  @Test("an address that is there already is replaced; NULL is never there")
  func twice() {
    let one = pointer(0x5555_0000_1230)
    #expect(drip_insert(one, 5) == DRIP_INSERTED)
    #expect(drip_insert(one, 6) == DRIP_REPLACED)
    var size: UInt64 = 0
    #expect(drip_remove(one, &size) && size == 6)
    #expect(!drip_remove(one, nil) && !drip_remove(nil, nil))
  }

  @Test("a full bucket refuses, and takes again when there is room")
  func full() {
    // The same 256 bytes and those that fall into the same bucket.
    let first = UInt(0x7fab_cdef_0000)
    let bucket = drip_bucket(pointer(first))
    var same: [UInt] = []
    var address = first
    while same.count < Int(DRIP_BUCKET_SLOTS) + 1 {
      if drip_bucket(pointer(address)) == bucket { same.append(address) }
      address += 16
    }
    for address in same.dropLast() { #expect(drip_insert(pointer(address), 1) == DRIP_INSERTED) }
    let last = pointer(same[same.count - 1])
    #expect(drip_insert(last, 1) == DRIP_REFUSED)
    #expect(!drip_remove(last, nil))
    #expect(drip_remove(pointer(same[3]), nil))
    #expect(drip_insert(last, 1) == DRIP_INSERTED)
    for address in same where address != same[3] { #expect(drip_remove(pointer(address), nil)) }
  }

  @Test("few of the addresses that are not there pass the filter")
  func falsePositives() {
    // A heap of 1 GiB has about 2,000 samples.
    var state: UInt64 = 3
    func some() -> UInt { 0x7f10_0000_0000 + UInt(drip_random(&state) % (1 << 30)) & ~15 }
    let sampled = Set((0..<2000).map { _ in some() })
    for address in sampled { _ = drip_insert(pointer(address), 1) }
    var hits = 0
    for _ in 0..<100_000 {
      let address = some()
      if !sampled.contains(address), drip_may_have(pointer(address)) { hits += 1 }
    }
    #expect(hits < 3000, "\(hits) of 100,000")
    for address in sampled { #expect(drip_remove(pointer(address), nil)) }
  }

  @Test("threads that put in and take out in the same buckets do not lose each other's")
  func threads() async {
    let failures = await withTaskGroup(of: Int.self, returning: Int.self) { group in
      for thread in 0..<4 as Range<UInt> {
        group.addTask {
          var failed = 0
          for round in 0..<20_000 as Range<UInt> {
            // Four owners of neighbours in few buckets.
            let one = UnsafeRawPointer(bitPattern: 0x6000_0000_0000 + round % 64 * 4096 + thread * 16)
            guard let one, drip_insert(one, UInt64(round)) == DRIP_INSERTED else {
              failed += 1
              continue
            }
            var size: UInt64 = 0
            if !drip_may_have(one) || !drip_remove(one, &size) || size != UInt64(round) { failed += 1 }
          }
          return failed
        }
      }
      return await group.reduce(0, +)
    }
    #expect(failures == 0)
  }
}

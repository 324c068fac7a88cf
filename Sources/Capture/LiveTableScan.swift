import CProbes
import Libbpf
import Profile

/// Per-site sums over the live table, from one pass. Indices are site slots.
struct LiveTableScan {
  private(set) var count: [UInt64]
  private(set) var bytes: [UInt64]
  /// Birth of the oldest object in table units; meaningful only where something was found.
  private(set) var oldestBirth: [UInt32]
  /// Everything in the table, of any age.
  private(set) var total: UInt64 = 0
  private var found: [Bool]
  private let latestBirth: UInt32

  private let sampling: ByteSampling
  /// With sampling, what each site's kept objects tell, and how surely; empty otherwise.
  private(set) var estimates: [SampledTotal]

  /// Objects by birth, whatever their age; nil if nobody asked.
  private(set) var cohorts: CohortRows?

  /// `latestBirth`: younger objects are left out of counts and bytes.
  init(
    siteCapacity: Int, latestBirth: UInt32, sampling: ByteSampling = .everything, cohorts: CohortRows? = nil
  ) {
    self.cohorts = cohorts
    count = Array(repeating: 0, count: siteCapacity)
    bytes = count
    oldestBirth = Array(repeating: .max, count: siteCapacity)
    found = Array(repeating: false, count: siteCapacity)
    self.latestBirth = latestBirth
    self.sampling = sampling
    estimates = Array(repeating: SampledTotal(), count: sampling.isOn ? siteCapacity : 0)
  }

  /// The birth of the youngest object that is at least so many seconds old, in table units.
  static func latestBirth(_ now: UInt64, olderThan seconds: Double) -> UInt32 {
    guard seconds > 0 else { return .max }
    let age = UInt64(seconds * 1e9) >> UInt64(DRIP_BIRTH_SHIFT)
    return now >= age ? UInt32(truncatingIfNeeded: now - age) : 0
  }

  func oldest(site: Int) -> UInt32? { found[site] ? oldestBirth[site] : nil }

  /// Walks the buckets. The target runs on: an object may be missed or be seen with its successor's size,
  /// which is why totals come from the sites' counters and only ages from here.
  mutating func add(buckets: borrowing MappedArray) {
    let ways = Int(DRIP_WAYS)
    let count = buckets.count
    buckets.withBytes { start in
      for index in 0..<count {
        // Keys stand first, then values, then births (drip_bucket in abi.h).
        let keys = (start + index &* 128).assumingMemoryBound(to: UInt64.self)
        if keys[0] | keys[1] | keys[2] | keys[3] | keys[4] | keys[5] == 0 { continue }
        let births = (start + index &* 128 + 96).assumingMemoryBound(to: UInt32.self)
        for way in 0..<ways where keys[way] != 0 {
          let value = keys[ways &+ way]
          add(
            size: value >> UInt64(DRIP_SITE_BITS),
            site: Int(value & (1 << UInt64(DRIP_SITE_BITS) - 1)), birth: births[way])
        }
      }
    }
  }

  mutating func add(size: UInt64, site: Int, birth: UInt32) {
    guard site < count.count else { return }
    total &+= 1
    if birth < oldestBirth[site] { oldestBirth[site] = birth }
    cohorts?.add(size: size, site: site, birth: birth)
    guard birth <= latestBirth else { return }
    found[site] = true
    guard !sampling.isOn else { return estimates[site].add(size: size, sampling) }
    count[site] &+= 1
    bytes[site] &+= size
  }
}

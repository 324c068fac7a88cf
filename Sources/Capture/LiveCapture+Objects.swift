import CProbes
public import Libbpf
public import Profile

/// The outstanding objects themselves.
extension LiveCapture {
  /// Every live object of a process that drip knows, in no order; nil once it has exited or runs another program. The
  /// target runs on: what comes or goes meanwhile may be in it or not, and an object may even be seen with its
  /// successor's size, so what matters is to be compared with a second reading.
  public func liveObjects(of number: Int) throws(LibbpfError) -> [LiveObject]? {
    guard isCounted(number) else { return nil }
    var result: [LiveObject] = []
    let ways = Int(DRIP_WAYS)
    let siteMask: UInt64 = 1 << UInt64(DRIP_SITE_BITS) - 1
    let addressMask: UInt64 = 1 << 48 - 1
    let process = UInt64(number)
    let count = kernel.live.count
    kernel.live.withBytes { start in
      for index in 0..<count {
        // Keys stand first, then values, then births (drip_bucket in abi.h).
        let keys = (start + index &* 128).assumingMemoryBound(to: UInt64.self)
        if keys[0] | keys[1] | keys[2] | keys[3] | keys[4] | keys[5] == 0 { continue }
        let births = (start + index &* 128 + 96).assumingMemoryBound(to: UInt32.self)
        for way in 0..<ways where keys[way] != 0 && keys[way] >> 48 == process {
          let value = keys[ways &+ way]
          result.append(
            LiveObject(
              address: keys[way] & addressMask, size: value >> UInt64(DRIP_SITE_BITS), birth: births[way],
              site: UInt32(truncatingIfNeeded: value & siteMask)))
        }
      }
    }
    try kernel.forEachOverflow { key, object in
      guard key >> 48 == process else { return }
      result.append(
        LiveObject(
          address: key & addressMask, size: object.size, birth: object.birth, site: object.site))
    }
    return isCounted(number) ? result : nil
  }

  /// Of each of these sites of a process the `limit` oldest outstanding objects; nil once it is gone.
  public func objects(of sites: [UInt32], process number: Int, limit: Int = 256) throws(LibbpfError)
    -> [LiveObject]?
  {
    try liveObjects(of: number).map { LiveObject.oldest(of: sites, among: $0, limit: limit) }
  }
}

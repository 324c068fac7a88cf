public import Profile

/// The live objects of one process by address. Immutable; a look-up costs two table reads and a short bisection.
public struct ObjectIndex: Sendable {
  /// What an address may have set in its top 16 bits without meaning another place: tags of programs that know how few
  /// bits the hardware looks at.
  public static let addressMask: UInt64 = 0x0000_ffff_ffff_ffff

  /// Ascending by address, free of overlaps.
  public let objects: [LiveObject]
  /// Objects that were left out, because they overlap with another: of one of the two the free was missed, and nobody
  /// knows of which.
  public let overlapping: Int
  /// The same as in `objects`, next to each other, for the search.
  let starts: [UInt64]
  let ends: [UInt64]

  /// Objects in any order. Those with equal addresses overlap.
  public init(_ unsorted: [LiveObject]) {
    let sorted = unsorted.sorted { $0.address < $1.address }
    var kept: [LiveObject] = []
    kept.reserveCapacity(sorted.count)
    // The end of all objects so far, also of those left out.
    var reach: UInt64 = 0
    var isLastGood = false
    for object in sorted {
      guard object.end > object.address, object.end <= Self.addressMask else { continue }
      if object.address < reach {
        if isLastGood { kept.removeLast() }
        isLastGood = false
      } else {
        kept.append(object)
        isLastGood = true
      }
      reach = max(reach, object.end)
    }
    objects = kept
    overlapping = sorted.count - kept.count
    starts = kept.map(\.address)
    ends = kept.map(\.end)
  }

  /// The number of the object that an address lies in.
  public func object(at address: UInt64) -> Int? {
    let after = firstEnding(after: address)
    return after < starts.count && starts[after] <= address ? after : nil
  }

  /// The number of the first object whose end is above an address; the count of all if there is none.
  func firstEnding(after address: UInt64) -> Int {
    var low = 0
    var high = ends.count
    while low < high {
      let middle = (low + high) / 2
      if ends[middle] <= address { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The numbers of objects that `other`, which was taken later, has not in just the same way: those were freed
  /// meanwhile, and their memory may be anything's.
  public func gone(in other: ObjectIndex) -> [Int] {
    var result: [Int] = []
    var position = 0
    for (number, object) in objects.enumerated() {
      while position < other.objects.count, other.objects[position].address < object.address { position += 1 }
      if position < other.objects.count, other.objects[position] == object { continue }
      result.append(number)
    }
    return result
  }
}

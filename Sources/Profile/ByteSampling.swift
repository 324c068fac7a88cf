import Glibc

/// Poisson sampling by bytes. An allocation of s bytes is kept with the probability 1 - exp(-s / distance), as if
/// every byte were chosen by itself, once in `distance` bytes on average, and a block were kept for its first
/// chosen byte. A kept object stands for 1 / probability objects.
///
/// The decision falls in BPF, which has no floating point (bpf/sampling.bpf.h): it compares a 32-bit random number
/// with a threshold P(s) of 2^32, interpolated in a table. Since weights are 2^32 / P(s), of the very same P(s),
/// sums are unbiased however coarse the interpolation is. The functions here equal those there, bit for bit.
///
/// The table has an entry for each size below 16, and eight for each power of two from there on: the threshold at
/// the entry's first size and, in the low 28 bits, how far it rises until the next entry. P is never below 1, and
/// as it rises by less than 0.05 of 2^32 within an entry, 28 bits hold that.
public struct ByteSampling: Sendable, Hashable {
  /// The mean distance between chosen bytes; 0 if every allocation is kept.
  public let distance: UInt64
  /// What goes into `sample_table`.
  public let table: [UInt64]

  /// The longest distance, in bytes. Beyond, the smallest sizes would have no threshold above 0.
  public static let longestDistance: UInt64 = 1 << 32
  /// A threshold that every 32-bit number is below.
  public static let always: UInt64 = 1 << 32
  /// Scaled counts are in units of 1 / 65,536 objects.
  public static let countUnit: UInt64 = 1 << countBits
  /// The entries of the table in BPF.
  public static let entryCount = (sizeBits - subBits + 1) << subBits

  static let sizeBits = 48
  static let subBits = 3
  static let riseBits = 28
  static let countBits: UInt64 = 16

  /// Nil for distances above 4 GiB. 0 and 1 mean that every allocation is kept, with a weight of 1, so that
  /// numbers are exact.
  public init?(distance: UInt64) {
    guard distance <= Self.longestDistance else { return nil }
    self.distance = distance <= 1 ? 0 : distance
    guard distance > 1 else {
      table = [UInt64](repeating: Self.always << UInt64(Self.riseBits), count: Self.entryCount)
      return
    }
    // One more, for the rise of the last.
    var thresholds: [UInt64] = []
    for index in 0...Self.entryCount {
      let exact = -expm1(-Double(Self.firstSize(ofEntry: index)) / Double(distance))
      let threshold = max(UInt64((exact * Double(Self.always)).rounded()), 1)
      thresholds.append(max(threshold, thresholds.last ?? 0))
    }
    table = zip(thresholds, thresholds.dropFirst()).enumerated().map { index, pair in
      // Below 16 sizes are entries: nothing lies between.
      let rise = index < 2 << Self.subBits ? 0 : pair.1 - pair.0
      return pair.0 << UInt64(Self.riseBits) | rise
    }
  }

  /// Whether anything is left out.
  public var isOn: Bool { distance > 0 }

  /// Blocks of no bytes count as those of one.
  private static func firstSize(ofEntry index: Int) -> UInt64 {
    let shift = max((index >> subBits) - 1, 0)
    return max(UInt64(index - shift << subBits) << UInt64(shift), 1)
  }

  /// P(size), of 2^32. Rises with the size, and is `always` from some 23 distances on.
  public func threshold(_ size: UInt64) -> UInt64 {
    guard isOn, size >> UInt64(Self.sizeBits) == 0 else { return Self.always }
    let bits = 63 - (size | 1 << UInt64(Self.subBits)).leadingZeroBitCount
    let shift = UInt64(bits - Self.subBits)
    let entry = table[Int(shift) << Self.subBits + Int(size >> shift)]
    let rise = entry & (1 << UInt64(Self.riseBits) - 1)
    return entry >> UInt64(Self.riseBits) + (rise * (size & (1 << shift - 1))) >> shift
  }

  /// Whether an allocation is kept, for a number drawn evenly from all 32-bit ones.
  public func keeps(_ size: UInt64, draw: UInt32) -> Bool { UInt64(draw) < threshold(size) }

  /// The probability that an allocation is kept.
  public func probability(_ size: UInt64) -> Double { Double(threshold(size)) / Double(Self.always) }

  /// How many objects a kept one stands for: the inverse of its probability.
  public func weight(_ size: UInt64) -> Double { Double(Self.always) / Double(threshold(size)) }

  /// The weight in units of 1 / 65,536 objects, as BPF adds it to a site's counters, at the allocation as at the
  /// free. Rounded to the nearest: a sum of counts is off by at most one part in 131,072. Exact for objects that
  /// are always kept. A counter of 64 bits holds 2.8e14 objects.
  public func scaledCount(_ size: UInt64) -> UInt64 {
    let threshold = threshold(size)
    return (Self.always << Self.countBits + threshold / 2) / threshold
  }

  /// The bytes that a kept object stands for, as BPF adds them: whole bytes, rounded to the nearest, after the
  /// count was. As a kept object stands for no less than `distance` bytes, a sum of bytes is off by at most one
  /// part in 131,072 and one in 2 * distance: negligible from 4 KiB on, and no use for distances of a few bytes.
  public func scaledBytes(_ size: UInt64) -> UInt64 {
    let count = scaledCount(size)
    guard count != Self.countUnit else { return size }
    return (size * count + Self.countUnit / 2) >> Self.countBits
  }

  /// If no object of a site was kept, it has fewer bytes than this, with 95 % confidence. Whatever their sizes are:
  /// the probability that none of them is kept is exp(-bytes / distance). 0 if every allocation is kept.
  public var mostBytesUnseen: Double { -log(0.05) * Double(distance) }
}

import Foundation
import Profile
import Testing

@Suite("sampling by bytes")
struct ByteSamplingTests {
  static let distances: [UInt64] = [2, 3, 16, 1000, 4096, 65_536, 524_288, 1 << 24, 1 << 32]

  private func sampling(_ distance: UInt64) throws -> ByteSampling {
    try #require(ByteSampling(distance: distance))
  }

  /// All sizes up to 20,000, the neighbours of all powers of two, and others at random.
  private static let sizes: [UInt64] = {
    var random = SplitMix(state: 1)
    let edges = (0...63).flatMap { bit in (-3...3).map { (1 << UInt64(bit)) &+ UInt64(bitPattern: $0) } }
    let others = (0..<20_000).map { _ in random.next() >> UInt64.random(in: 0...63, using: &random) }
    return Array(0...20_000) + edges + others
  }()

  @Test("off: everything is kept and stands for itself", arguments: [0, 1] as [UInt64])
  func off(distance: UInt64) throws {
    let sampling = try sampling(distance)
    #expect(!sampling.isOn && sampling.distance == 0 && sampling.mostBytesUnseen == 0)
    for size in [0, 1, 77, 1 << 40, .max] as [UInt64] {
      #expect(sampling.keeps(size, draw: .max) && sampling.weight(size) == 1)
      #expect(sampling.scaledCount(size) == ByteSampling.countUnit && sampling.scaledBytes(size) == size)
    }
  }

  @Test("distances beyond 4 GiB")
  func tooFar() {
    #expect(ByteSampling(distance: ByteSampling.longestDistance + 1) == nil)
    #expect(ByteSampling(distance: .max) == nil)
  }

  @Test("the threshold never falls, never is 0, and ends at always", arguments: distances)
  func monotone(distance: UInt64) throws {
    let sampling = try sampling(distance)
    var last: UInt64 = 1
    for size in Self.sizes.sorted() {
      let threshold = sampling.threshold(size)
      #expect(threshold >= last && threshold <= ByteSampling.always, "\(size)")
      last = threshold
    }
    #expect(sampling.threshold(0) == sampling.threshold(1))
    for size in [distance * 25, distance * 1000, 1 << 48, .max] {
      #expect(sampling.threshold(size) == ByteSampling.always)
      #expect(sampling.scaledCount(size) == ByteSampling.countUnit && sampling.scaledBytes(size) == size)
      #expect(sampling.keeps(size, draw: .max))
    }
  }

  @Test("the probability is 1 - exp(-s / distance), but for interpolation", arguments: distances)
  func formula(distance: UInt64) throws {
    let sampling = try sampling(distance)
    for size in Self.sizes where size > 0 {
      let exact = -expm1(-Double(size) / Double(distance))
      let probability = sampling.probability(size)
      // A chord over a width of t / 8 lies below 1 - exp(-t) by at most t² / 512 · exp(-t): 0.13 % of it, at most.
      #expect(abs(probability - exact) < exact * 0.0013 + 3 / Double(ByteSampling.always), "\(size)")
      #expect(abs(sampling.weight(size) * probability - 1) < 1e-15)
    }
    #expect(sampling.keeps(100, draw: UInt32(sampling.threshold(100) - 1)))
    #expect(!sampling.keeps(1, draw: UInt32(sampling.threshold(1))))
  }

  @Test("scaled counts and bytes are the weight in integers", arguments: distances)
  func scaled(distance: UInt64) throws {
    let sampling = try sampling(distance)
    for size in Self.sizes {
      let weight = sampling.weight(size)
      let count = Double(sampling.scaledCount(size)) / Double(ByteSampling.countUnit)
      #expect(abs(count - weight) <= 0.5 / Double(ByteSampling.countUnit), "\(size)")
      // What the documentation says of the rounding.
      #expect(abs(count / weight - 1) <= 1 / 131_072.0)
      let exact = weight * Double(size)
      #expect(
        abs(Double(sampling.scaledBytes(size)) - exact) <= exact / 131_072 + 0.5 + exact * 0x1p-51, "\(size)")
      if size > 0 { #expect(exact >= Double(distance) * 0.998) }
    }
  }

  /// The header of the BPF programs, compiled for this machine.
  @Test("BPF computes the same, bit for bit", .enabled(if: access("/usr/bin/gcc", X_OK) == 0))
  func host() throws {
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Workloads/sampling_host.c").path
    let program = FileManager.default.temporaryDirectory.appending(path: "drip-sampling-\(UUID().uuidString)")
      .path
    defer { try? FileManager.default.removeItem(atPath: program) }
    _ = try run("/usr/bin/gcc", ["-std=gnu11", "-O1", "-o", program, source], input: Data())
    for distance in [0] + Self.distances {
      let sampling = try sampling(distance)
      #expect(sampling.table.count == ByteSampling.entryCount)
      let words = [sampling.isOn ? 1 : 0] + sampling.table + Self.sizes
      let output = try run(program, [], input: words.withUnsafeBytes { Data($0) })
      let results = output.withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) }
      let expected = Self.sizes.flatMap {
        [sampling.threshold($0), sampling.scaledCount($0), sampling.scaledBytes($0)]
      }
      #expect(results == expected, "distance \(distance)")
    }
  }

  private func run(_ path: String, _ arguments: [String], input: Data) throws -> Data {
    // A file: a pipe that nobody reads yet would hold 64 KiB.
    let file = FileManager.default.temporaryDirectory.appending(path: "drip-sampling-\(UUID().uuidString)")
    try input.write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardInput = try FileHandle(forReadingFrom: file)
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return output
  }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

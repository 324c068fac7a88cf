import Foundation
import Profile
import Testing

@testable import Binaries

/// Bytes that nobody compiled: nothing may crash or go on for ever, and what is found must hold even there.
@Suite("one trap in arbitrary bytes")
struct OneTrapFuzzTests {
  private static let entry: UInt64 = 0x40_0000

  /// Analyses bytes as a function, and checks what is found; whether something was.
  private func run(_ bytes: [UInt8], _ call: AllocatorCall) throws -> Bool {
    let code = { (address: UInt64) -> [UInt8] in
      guard address >= Self.entry, address &- Self.entry < UInt64(bytes.count) else { return [] }
      let at = Int(address &- Self.entry)
      return Array(bytes[at..<min(at + 15, bytes.count)])
    }
    guard let sites = try? OneTrap.analyse(entry: Self.entry, call: call, code: code) else { return false }
    let graph = try FlowGraph(entry: Self.entry, code: code) { _ in false }
    let dead = graph.nodes.filter { $0.instruction.kind == .call && $0.exit == .dies }
    let checker = OneTrapChecker(
      entry: Self.entry, call: call, code: code, sites: sites,
      deadCalls: Set(dead.map(\.instruction.address)), mostPaths: 300)
    do { _ = try checker.run() } catch {
      Issue.record("\(error): \(bytes.map { String($0, radix: 16) }.joined(separator: " "))")
    }
    return true
  }

  @Test("random bytes", arguments: [AllocatorCall.malloc, .calloc, .alignedAlloc])
  func random(call: AllocatorCall) throws {
    var generator = Seeded(state: UInt64(call.rawValue))
    for _ in 0..<300 {
      let bytes = (0..<Int.random(in: 0...400, using: &generator)).map { _ in
        UInt8(truncatingIfNeeded: generator.next())
      }
      _ = try run(bytes, call)
    }
  }

  /// Pieces of functions put together: far more of them have sites than of random bytes.
  @Test("random instructions", arguments: 0..<8)
  func instructions(seed: UInt64) throws {
    let pieces: [[UInt8]] = [
      [0x53], [0x5b], [0x55], [0x5d],  // push and pop of rbx and rbp
      [0x48, 0x89, 0xfb], [0x48, 0x89, 0xdf], [0x48, 0x89, 0xc3], [0x48, 0x89, 0xd8], [0x48, 0x89, 0xe5],
      [0x48, 0x83, 0xec, 0x10], [0x48, 0x83, 0xc4, 0x10],  // rsp by 16
      [0x48, 0x89, 0x3c, 0x24], [0x48, 0x8b, 0x3c, 0x24], [0x48, 0x89, 0x44, 0x24, 0x08],
      [0x48, 0x8b, 0x44, 0x24, 0x08], [0x48, 0x89, 0x7d, 0xf8], [0x48, 0x8b, 0x7d, 0xf8], [0xc9],
      [0x48, 0x85, 0xc0], [0x48, 0x85, 0xdb], [0x31, 0xc0], [0x89, 0xfb], [0x48, 0xff, 0xc0],
      [0x48, 0x0f, 0x44, 0xc3], [0x48, 0x87, 0xd8], [0xf0, 0x48, 0x0f, 0xb1, 0x0a], [0x0f, 0x05],
      [0x48, 0x8b, 0x07], [0x0f, 0x11, 0x04, 0x24], [0x90], [0x90], [0xc3], [0xc3], [0x0f, 0x0b],
      [0xe8, 0x00, 0x02, 0x00, 0x00],  // a call
    ]
    var generator = Seeded(state: seed &* 77 &+ 5)
    var found = 0
    for _ in 0..<1500 {
      var bytes: [UInt8] = generator.next() % 2 == 0 ? [0x53, 0x48, 0x89, 0xfb] : []
      while bytes.count < 60 {
        if generator.next() % 5 == 0 {
          // je and jne, a little forth or back
          bytes += [
            generator.next() % 2 == 0 ? 0x74 : 0x75, UInt8(truncatingIfNeeded: generator.next() % 24 &- 4),
          ]
        } else if let piece = pieces.randomElement(using: &generator) {
          bytes += piece
        }
      }
      bytes += [0x5b, 0xc3]
      // Calls lead to functions that return.
      bytes += [UInt8](repeating: 0xc3, count: 600)
      if try run(bytes, seed % 3 == 2 ? .alignedAlloc : .malloc) { found += 1 }
    }
    #expect(found > 5)
  }

  @Test(
    "mutations of glibc's functions", .enabled(if: SystemFile.exists(SystemFile.libc), "there is no glibc"))
  func mutations() throws {
    let image = try OneTrapImage(SystemFile.libc)
    var generator = Seeded(state: 9)
    for name in ["malloc", "calloc", "valloc"] {
      let entry = try #require(image.entries.first { $0.names.contains(name) })
      let original = try image.elf.code(at: entry.address, count: Int(max(entry.size, 64)) + 64)
      for _ in 0..<150 {
        var bytes = original
        for _ in 0...Int(generator.next() % 4) {
          let at = Int(generator.next() % UInt64(bytes.count))
          bytes[at] = UInt8(truncatingIfNeeded: generator.next())
        }
        _ = try run(bytes, entry.call)
      }
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every run.
struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

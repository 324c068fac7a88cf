import Foundation
import Testing

/// The programs that detectors are judged by: leaks, and what only looks like one, each with its own truth.
@Suite("behaviours", .enabled(if: canRunLive), .serialized)
struct BehaviourTests {
  @Test("every behaviour's counts equal its own truth, time-compressed")
  func counts() throws {
    let run = try TruthRun("behaviours", ["all", "--speed", "200", "--seconds", "500", "--seed", "3"])
    #expect(run.truth.count >= 25)
    #expect(run.truth.values.allSatisfy { $0.allocs > 0 })
    run.expectExact("speed 200")
  }

  @Test("leaks lose or keep, innocents lose nothing")
  func truth() throws {
    let child = try Child(
      DripBinary.workload("behaviours"), ["all", "--speed", "1000", "--seconds", "1200", "--holding", "60"])
    child.send("GO")
    var sites: [[Substring]] = []
    while let line = child.line(), !line.hasPrefix("TOTAL") {
      let words = line.split(separator: " ")
      if words.first == "SITE" { sites.append(words) }
    }
    child.send("END")
    #expect(child.finish().status == 0)
    #expect(sites.count >= 25)
    for words in sites {
      try #require(words.count == 11)
      let numbers = words[2...9].compactMap { UInt64($0) }
      try #require(numbers.count == 8)
      let (outstanding, lost) = (numbers[4], numbers[6])
      #expect(numbers[0] - numbers[1] == outstanding, "\(words[1])")
      #expect(numbers[2] - numbers[3] == numbers[5], "\(words[1])")
      #expect(lost <= outstanding, "\(words[1])")
      #expect(words[10] == "leak" || lost == 0, "\(words[1])")
      #expect(numbers[0] > 0, "\(words[1])")
    }
    #expect(Set(sites.map { $0[10] }) == ["leak", "innocent"])
    #expect(sites.count { $0[10] == "leak" && $0[8] != "0" } >= 8, "leaks that lose")
    #expect(sites.count { $0[10] == "leak" && $0[8] == "0" } >= 2, "leaks that keep")
  }
}

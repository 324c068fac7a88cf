import Foundation
import Testing

/// What was counted at one function.
struct SiteCounts: Equatable, Sendable, CustomStringConvertible {
  var allocs: UInt64 = 0
  var frees: UInt64 = 0
  var allocatedBytes: UInt64 = 0
  var outstandingBytes: UInt64 = 0

  var description: String {
    "\(allocs) allocs, \(frees) frees, \(allocatedBytes) bytes allocated, \(outstandingBytes) outstanding"
  }
}

/// What a program printed of its own counts: "SITE name allocs frees allocated freed outstanding bytes" a function.
struct TruthFile {
  private(set) var sites: [String: SiteCounts] = [:]
  /// Functions from the allocating one outward, where the program says so.
  private(set) var chain: [String] = []

  init(_ text: String) throws {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      if words.first == "CHAIN" { chain = Array(words.dropFirst()) }
      guard words.first == "SITE" else { continue }
      try #require(words.count == 8, "\(line)")
      sites[words[1]] = SiteCounts(
        allocs: try #require(UInt64(words[2])), frees: try #require(UInt64(words[3])),
        allocatedBytes: try #require(UInt64(words[4])), outstandingBytes: try #require(UInt64(words[7])))
    }
    try #require(!sites.isEmpty)
  }
}

/// What the JSON format promises (docs/formats.md), as far as it is read here.
struct GuestDump: Decodable {
  struct Capture: Decodable {
    let backend: String
    let kernel: String
  }
  struct Frame: Decodable { let function: String? }
  struct Site: Decodable {
    let outstanding_bytes: UInt64
    let allocs: UInt64
    let frees: UInt64
    let allocated_bytes: UInt64
    let stack_end: String
    let frames: [Frame]
  }
  let capture: Capture
  let losses: [String: UInt64]
  let sites: [Site]

  init(_ text: String) throws { self = try JSONDecoder().decode(Self.self, from: Data(text.utf8)) }

  /// The sums by the functions that tell their truth; anything else is under "elsewhere".
  func counts(by names: some Collection<String>) -> [String: SiteCounts] {
    let names = Set(names)
    var result: [String: SiteCounts] = [:]
    for site in sites {
      let name = site.frames.lazy.compactMap(\.function).first { names.contains($0) } ?? "elsewhere"
      result[name, default: SiteCounts()].allocs += site.allocs
      result[name, default: SiteCounts()].frees += site.frees
      result[name, default: SiteCounts()].allocatedBytes += site.allocated_bytes
      result[name, default: SiteCounts()].outstandingBytes += site.outstanding_bytes
    }
    return result
  }
}

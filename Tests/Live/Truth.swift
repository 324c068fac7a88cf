import Foundation
import Testing

/// What a workload counted itself at one of its sites.
struct Truth: Equatable, CustomStringConvertible {
  var allocs: UInt64 = 0
  var frees: UInt64 = 0
  var allocatedBytes: UInt64 = 0
  var outstandingBytes: UInt64 = 0

  var description: String {
    "\(allocs) allocs, \(frees) frees, \(allocatedBytes) bytes allocated, \(outstandingBytes) outstanding"
  }
}

/// One run of a workload that counts its own, under drip.
struct TruthRun {
  /// By the names of the functions that allocate.
  private(set) var truth: [String: Truth] = [:]
  /// What drip saw, by the same names; what was in none of them is under `elsewhere`.
  private(set) var seen: [String: Truth] = [:]
  let dump: DumpJSON

  static let elsewhere = "elsewhere"

  /// Runs the workload from READY to its truth while drip watches. The name of a site may be part of a longer one:
  /// other languages mangle.
  init(
    _ workload: String, _ arguments: [String], preload: String? = nil, drip extra: [String] = []
  ) throws {
    var environment = [
      // tcmalloc tells of every size that nobody has.
      "TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD": "0"
    ]
    environment["LD_PRELOAD"] = preload
    let child = try Child(DripBinary.workload(workload), arguments, environment: environment)
    try #require(child.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(child.pid)", "--duration", "120s", "--format", "json"] + extra)
    child.send("GO")
    truth = try Self.truth(of: child)
    drip.signal(SIGINT)
    let result = drip.finish()
    #expect(result.status == 0, "\(workload): \(result.errors)")
    child.send("END")
    dump = try DumpJSON.parse(result.output)
    seen = Self.seen(dump.sites, truth)
  }

  /// What a workload says of its sites, once it has worked.
  static func truth(of child: Child) throws -> [String: Truth] {
    var truth: [String: Truth] = [:]
    while let line = child.line() {
      let words = line.split(separator: " ")
      if words.first == "SITE", words.count >= 6, let allocs = UInt64(words[2]), let frees = UInt64(words[3]),
        let allocated = UInt64(words[4]), let freed = UInt64(words[5])
      {
        truth[String(words[1])] = Truth(
          allocs: allocs, frees: frees, allocatedBytes: allocated, outstandingBytes: allocated - freed)
      }
      if words.first == "TOTAL" { break }
    }
    try #require(!truth.isEmpty, "a workload ended without its truth: \(child.finish().errors)")
    return truth
  }

  /// What drip's sites add up to under these names.
  static func seen(_ sites: [DumpJSON.Site], _ truth: [String: Truth]) -> [String: Truth] {
    var seen: [String: Truth] = [:]
    for site in sites {
      let name =
        site.frames.lazy.compactMap(\.function).compactMap { Self.name(of: $0, truth) }.first ?? elsewhere
      seen[name, default: Truth()].allocs += site.allocs
      seen[name, default: Truth()].frees += site.frees
      seen[name, default: Truth()].allocatedBytes += site.allocated_bytes
      seen[name, default: Truth()].outstandingBytes += site.outstanding_bytes
    }
    return seen
  }

  private static func name(of function: String, _ truth: [String: Truth]) -> String? {
    if truth[function] != nil { return function }
    let words = function.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init)
    return words.first { truth[$0] != nil } ?? truth.keys.first { function.hasSuffix($0) }
  }

  /// Every site equal to the last byte, nothing lost.
  func expectExact(_ comment: String, isAlone: Bool = true, _ location: SourceLocation = #_sourceLocation) {
    for (name, expected) in truth where expected.allocs > 0 {
      #expect(seen[name] == expected, "\(name), \(comment)", sourceLocation: location)
    }
    if isAlone {
      #expect(
        seen[Self.elsewhere] == nil, "allocated outside of the sites, \(comment)", sourceLocation: location)
    }
    #expect(dump.losses["total"] == 0, "\(dump.losses), \(comment)", sourceLocation: location)
  }
}

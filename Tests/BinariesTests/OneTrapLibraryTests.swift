import Foundation
import Profile
import Testing

@testable import Binaries

/// The allocation functions of a library, as the planner of the probes gives them to the analysis.
struct OneTrapImage {
  let elf: ELFFile
  let entries: [AllocatorImage.Entry]
  let dead: DeadCalls

  init(_ path: String) throws {
    elf = try SystemFile.elf(path)
    dead = DeadCalls(elf)
    entries = try AllocatorImage.images(in: elf).flatMap(\.entries)
  }

  func code(at address: UInt64) -> [UInt8] { (try? elf.code(at: address, count: 15)) ?? [] }

  /// What is found in a function. Throws the refusal.
  func analyse(_ entry: AllocatorImage.Entry) throws -> [OneTrapSite] {
    let calls = Dictionary(entries.map { ($0.address, $0.call) }) { first, _ in first }
    return try OneTrap.analyse(
      entry: entry.address, call: entry.call, code: code, isEntry: { calls[$0] != nil },
      isTakenOver: { calls[$0] == entry.call }, neverReturns: dead.contains,
      isOwn: { $0 >= entry.address && $0 &- entry.address < max(entry.size, 1) })
  }

  /// Walks the paths of a function with the sites; the number of paths.
  func check(_ entry: AllocatorImage.Entry, _ sites: [OneTrapSite]) throws -> Int {
    let starts = Set(entries.map(\.address))
    let graph = try FlowGraph(entry: entry.address, code: code, neverReturns: dead.contains) {
      $0 != entry.address && starts.contains($0)
    }
    let dead = graph.nodes.filter { $0.instruction.kind == .call && $0.exit == .dies }
    return try OneTrapChecker(
      entry: entry.address, call: entry.call, code: code, sites: sites, isEntry: starts.contains,
      deadCalls: Set(dead.map(\.instruction.address))
    ).run()
  }

  /// The direct calls in a function that has no loop, by address and target.
  static func calls(from entry: UInt64, _ code: (UInt64) -> [UInt8]) -> [(at: UInt64, target: UInt64)] {
    guard let disassembler = Disassembler() else { return [] }
    var result: [(at: UInt64, target: UInt64)] = []
    var address = entry
    while let one = disassembler.instructions(code(address), at: address, limit: 1).first,
      one.mnemonic != "ud2"
    {
      if one.kind == .call, let target = one.branchTarget { result.append((address, target)) }
      address += one.size
    }
    return result
  }
}

@Suite("one trap in the allocators of the system")
struct OneTrapLibraryTests {
  private static let folder = "/usr/lib/x86_64-linux-gnu/"
  private static let libraries = [
    SystemFile.libc, SystemFile.jemalloc, folder + "libtcmalloc_minimal.so.4", folder + "libtcmalloc.so.4",
    folder + "libmimalloc.so.2", "/usr/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-x86_64.so.1",
    folder + "libasan.so.8",
  ].filter(SystemFile.exists)

  @Test("whatever is found holds on all paths", arguments: libraries)
  func holds(path: String) throws {
    let image = try OneTrapImage(path)
    for entry in image.entries {
      guard let sites = try? image.analyse(entry) else { continue }
      #expect(!sites.isEmpty)
      #expect(Set(sites.map(\.offset)).count == sites.count)
      #expect(throws: Never.self, "\(entry.names)") {
        let paths = try image.check(entry, sites)
        #expect(paths > 0)
      }
      for site in sites {
        #expect(site.offset < entry.size && (site.result == nil) == (site.role == .remember))
        #expect((site.size == nil) == (site.role == .settle))
      }
    }
  }

  @Test(
    "glibc's malloc, and valloc, which shares its code",
    .enabled(if: isDebian12, "another glibc than Debian 12's may be built in another way"))
  func glibc() throws {
    let image = try OneTrapImage(SystemFile.libc)
    let malloc = try #require(image.entries.first { $0.names.contains("malloc") })
    let sites = try image.analyse(malloc)
    #expect(sites.contains { $0.role == .record } && sites.contains { $0.role == .settle })
    let paths = try image.check(malloc, sites)
    #expect(paths > 3)
    // It goes on in code that posix_memalign calls as well: a site there would tell of both.
    let valloc = try #require(image.entries.first { $0.names.contains("valloc") })
    #expect(throws: OneTrap.Refusal.self) { try image.analyse(valloc) }
  }

  private static var isDebian12: Bool {
    guard let file = try? FileBytes(path: SystemFile.libc),
      let bytes = try? file.read(at: 0, count: Int(file.count))
    else { return false }
    return Data(bytes).range(of: Data("GNU C Library (Debian GLIBC 2.36-9+deb12".utf8)) != nil
  }
}

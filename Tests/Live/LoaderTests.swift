import Foundation
import Glibc
import Testing

/// Libraries that come and go faster than anybody looks.
@Suite("libraries that come and go", .enabled(if: canRunLive), .serialized)
struct LoaderTests {
  private static let rounds = 1000
  /// Libraries of one source, and the size of the blocks that each makes; in its constructor 16 bytes more.
  private static let modules: [(name: String, size: UInt64)] = [
    ("a", 1000), ("b", 2000), ("c", 3000), ("d", 4000),
  ]
  private static let paths = modules.map { DripBinary.workload("module_\($0.name).so") }

  /// What drip tells of rounds of dlopen, allocations and dlclose; with a second process that has all of the libraries
  /// mapped before drip comes, or without.
  private func dump(
    _ mode: String, knownBefore: Bool, paths: [String] = paths, _ arguments: String...
  ) throws -> DumpJSON {
    let folder = FileManager.default.temporaryDirectory.path + "/drip-loader-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (index, path) in paths.enumerated() {
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/\(index).so", withDestinationPath: path)
    }
    let other = try Child(
      DripBinary.workload("libraries"), [folder, "\(knownBefore ? paths.count : 0)"])
    try #require(other.waitForLine { $0 == "READY" } != nil)
    let loader = try Child(DripBinary.workload("loader"), [mode, "\(Self.rounds)"] + paths)
    try #require(loader.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(loader.pid)", "-p", "\(other.pid)", "--duration", "120s", "--format", "json"]
        + arguments)
    loader.send("GO")
    try #require(loader.waitForLine { $0 == "DONE" } != nil)
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    return try DumpJSON.parse(result.output)
  }

  /// Sites whose innermost frame is a library's.
  private func sites(_ dump: DumpJSON, of name: String) -> [DumpJSON.Site] {
    dump.sites.filter { $0.frames.first?.function == "module_\(name)_block" }
  }

  private func expectNames(_ dump: DumpJSON) {
    let each = UInt64(Self.rounds / Self.modules.count)
    for module in Self.modules {
      let all = sites(dump, of: module.name)
      #expect(
        all.reduce(0) { $0 + $1.allocs } == each * 3, "module_\(module.name): all are named, and no others")
      // Each has its own sizes: blocks of one library under the name of another would be seen.
      #expect(
        all.allSatisfy {
          [$0.allocs * module.size, $0.allocs * (module.size + 16)].contains($0.allocated_bytes)
        },
        "module_\(module.name)")
      #expect(
        all.allSatisfy { $0.frames.first?.module?.hasSuffix("/module_\(module.name).so") == true })
    }
  }

  @Test("libraries that drip knows: every stack is whole and named, however short their lives")
  func known() throws {
    let dump = try dump("loop", knownBefore: true)
    expectNames(dump)
    #expect(dump.losses["total"] == 0)
    // The kernel says nothing about its mappings while it changes them, as it does when probes come and go: on a busy
    // machine that takes a while. Without the kernel's help nearly all would be cut.
    let cut = try #require(dump.losses["unmapped_stacks"])
    #expect(cut * 5 <= dump.totals.allocs, "\(cut)")
    for module in Self.modules {
      for site in sites(dump, of: module.name) where site.stack_end != "unmapped" {
        let names = site.frames.compactMap(\.function)
        #expect(site.stack_end == "complete")
        #expect(names.contains("load") && names.contains("main"), "\(names)")
        #expect(["module_allocate", "module_\(module.name)_begin"].contains(names.dropFirst().first))
      }
    }
  }

  /// The kernel maps the file below, and shows the one above: walks must find the table by either.
  @Test("libraries on overlayfs, as in containers: every stack is whole while they come and go")
  func overlay() throws {
    let folder = FileManager.default.temporaryDirectory.path + "/drip-overlay-\(UUID().uuidString)"
    for name in ["below", "empty", "shown"] {
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for path in Self.paths {
      try FileManager.default.copyItem(
        atPath: path, toPath: "\(folder)/below/" + URL(fileURLWithPath: path).lastPathComponent)
    }
    let layers = "lowerdir=\(folder)/empty:\(folder)/below"
    let mount = try run(
      "/bin/mount", ["-t", "overlay", "none", "-o", layers, "\(folder)/shown"])
    if mount.status != 0 { try Test.cancel("no overlayfs here: \(mount.errors)") }
    defer { _ = try? run("/bin/umount", ["\(folder)/shown"]) }
    let dump = try dump(
      "loop", knownBefore: true, paths: Self.modules.map { "\(folder)/shown/module_\($0.name).so" })
    expectNames(dump)
    let cut = try #require(dump.losses["unmapped_stacks"])
    print("overlayfs: \(cut) of \(dump.totals.allocs) stacks end in code that is not known yet")
    #expect(cut * 5 <= dump.totals.allocs, "\(cut)")
  }

  @Test("libraries that drip has never seen: stacks are whole, or told to have ended in new code")
  func unknown() throws {
    let dump = try dump("loop", knownBefore: false)
    expectNames(dump)
    #expect(dump.losses["total"] == 0)
    let cut = dump.sites.filter { $0.stack_end != "complete" }
    #expect(cut.allSatisfy { $0.stack_end == "unmapped" })
    let lost = try #require(dump.losses["unmapped_stacks"])
    print(
      "four libraries never seen: \(lost) of \(dump.totals.allocs) stacks end in code that is not known yet")
    #expect(cut.reduce(0) { $0 + $1.allocs } == lost)
  }

  @Test("libraries that stay")
  func kept() throws {
    let dump = try dump("keep", knownBefore: true)
    let all = Self.modules.flatMap { sites(dump, of: $0.name) }
    #expect(all.allSatisfy { $0.stack_end == "complete" })
    // They are loaded once, so that there is one constructor's block of each.
    #expect(all.reduce(0) { $0 + $1.allocs } == UInt64(Self.rounds * 2 + Self.modules.count))
  }

  @Test("libdwfl gives the same stacks while libraries come and go")
  func checked() throws {
    let dump = try dump("loop", knownBefore: true, "--check-stacks", "50")
    let checks = try #require(dump.stack_checks)
    #expect(checks.agreed > 0)
    #expect(checks.disagreed == 0, "\(checks)")
  }
}

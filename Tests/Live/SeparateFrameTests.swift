import Foundation
import Testing

/// Programs whose call frame information is in a separate debug file only.
@Suite("frames of separate debug files, live", .enabled(if: canRunLive), .serialized)
struct SeparateFrameTests {
  /// Where the debug file is.
  enum Place: CaseIterable { case beside, buildIDDirectory, nowhere, otherBuild }

  private struct Found {
    let descents: Int
    let end: String
    let checks: DumpJSON.StackChecks
    let notes: [String]
  }

  /// A stripped copy of a program without tables, 40 calls deep, with its debug file in a place of its own.
  private func dump(_ place: Place) throws -> Found {
    let folder = FileManager.default.temporaryDirectory.path + "/drip-frames-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let program = folder + "/pairs"
    let debug = program + ".debug"
    let whole = DripBinary.workload("pairs_debug_frame")
    try #require(try run("/usr/bin/objcopy", ["--only-keep-debug", whole, debug]).status == 0)
    // The symbols stay, so that frames are told by their names without the debug file.
    let strip = ["--strip-debug", "--add-gnu-debuglink=\(debug)", whole, program]
    try #require(try run("/usr/bin/objcopy", strip).status == 0)
    var script = "exec \(program) 5000 1 40"
    switch place {
    case .beside: break
    case .nowhere: try FileManager.default.removeItem(atPath: debug)
    case .otherBuild: try changeBuildID(debug)
    case .buildIDDirectory:
      let id = try buildID(debug).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
      let directory = "/usr/lib/debug/.build-id/" + id.prefix(2)
      script =
        "mount -t tmpfs none /usr/lib/debug && mkdir -p \(directory) && "
        + "mv \(debug) \(directory)/\(id.dropFirst(2)).debug && " + script
    }
    let target = try Child("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", script])
    try #require(target.waitForLine { $0 == "READY" } != nil)
    let drip = try DripBinary.attach(
      ["dump", "-p", "\(target.pid)", "--duration", "120s", "--format", "json", "--check-stacks", "1"])
    target.send("GO")
    try #require(target.waitForLine { $0 == "DONE" } != nil)
    drip.signal(SIGINT)
    let result = drip.finish()
    try #require(result.status == 0, "\(result.errors)")
    let dump = try DumpJSON.parse(result.output)
    let site = try #require(dump.sites.max { $0.allocs < $1.allocs })
    let root = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    let capture = try #require(root?["capture"] as? [String: Any])
    return Found(
      descents: site.frames.count { $0.function == "descend" }, end: site.stack_end,
      checks: try #require(dump.stack_checks), notes: try #require(capture["notes"] as? [String]))
  }

  /// Where the bytes of a file's build id are: behind the head of their note.
  private func buildIDRange(_ contents: Data) throws -> Range<Int> {
    let head = Data([4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0] + Array("GNU".utf8) + [0])
    let end = try #require(contents.range(of: head)).upperBound
    return end..<end + 20
  }

  private func buildID(_ path: String) throws -> [UInt8] {
    let contents = try Data(contentsOf: URL(fileURLWithPath: path))
    return Array(contents[try buildIDRange(contents)])
  }

  private func changeBuildID(_ path: String) throws {
    var contents = try Data(contentsOf: URL(fileURLWithPath: path))
    contents[try buildIDRange(contents).lowerBound] ^= 1
    try contents.write(to: URL(fileURLWithPath: path))
  }

  @Test("stacks are whole, and libdwfl's are the same", arguments: [Place.beside, .buildIDDirectory])
  func whole(place: Place) throws {
    let found = try dump(place)
    #expect(found.descents == 41)
    #expect(found.end == "complete")
    #expect(found.checks.agreed > 100)
    #expect(found.checks.disagreed == 0, "\(found.checks)")
    #expect(found.checks.not_comparable * 100 <= found.checks.checked, "\(found.checks)")
    #expect(!found.notes.contains { $0.contains("debug file") }, "\(found.notes)")
  }

  @Test("without the file, or with one of another build, the frames are not there; the second is told")
  func refused() throws {
    let missing = try dump(.nowhere)
    #expect(missing.descents < 41 || missing.end != "complete")
    #expect(!missing.notes.contains { $0.contains("debug file") }, "\(missing.notes)")
    let stale = try dump(.otherBuild)
    #expect(stale.descents < 41 || stale.end != "complete")
    #expect(stale.notes.contains { $0.contains("pairs.debug is of another build") }, "\(stale.notes)")
  }
}

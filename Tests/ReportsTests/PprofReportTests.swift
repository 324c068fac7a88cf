import Foundation
import Profile
import SwiftProtobuf
import Testing

@testable import Reports

@Suite("pprof report")
struct PprofReportTests {
  private typealias Message = Perftools_Profiles_Profile

  private func decode(_ profile: HeapProfile) throws -> Message {
    let file = try TemporaryFile(try PprofReport.render(profile))
    return try Message(serializedBytes: try Tool.run("/bin/gzip", ["-dc", file.path]))
  }

  private func text(_ message: Message, _ index: Int64) -> String { message.stringTable[Int(index)] }

  private func stack(_ message: Message, _ sample: Perftools_Profiles_Sample) -> [[String]] {
    sample.locationID.map { id in
      let location = message.location[Int(id) - 1]
      return location.line.map { line in
        "\(text(message, message.function[Int(line.functionID) - 1].name)):\(line.line)"
      }
    }
  }

  @Test("the four sample types in Go's order, with inuse_space first to be shown")
  func types() throws {
    let message = try decode(Sample.profile())
    #expect(message.stringTable.first?.isEmpty == true)
    #expect(Set(message.stringTable).count == message.stringTable.count)
    #expect(
      message.sampleType.map { "\(text(message, $0.type))/\(text(message, $0.unit))" }
        == ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"])
    #expect(text(message, message.defaultSampleType) == "inuse_space")
    #expect(text(message, message.periodType.type) == "space")
    #expect(text(message, message.periodType.unit) == "bytes")
    #expect(message.period == 1)
    #expect(message.timeNanos == 1_700_000_000_123_456_789)
    #expect(message.durationNanos == 10_000_000_000)
  }

  @Test("samples carry the counts, and inlined calls are lines of one location")
  func samples() throws {
    let message = try decode(Sample.profile())
    #expect(message.sample.map(\.value) == [[1300, 1_380_000, 1234, 1_310_720], [1, 786_432, 1, 786_432]])
    #expect(
      stack(message, message.sample[0]) == [["strdup:0"], ["copy_field:7", "parse_request:42"], ["main:90"]])
    #expect(stack(message, message.sample[1]) == [["libfoo.so.1+0x1a2b:0"], ["0x7f9900000000:0"]])
    #expect(message.sample.allSatisfy { text(message, $0.label[0].key) == "pid" && $0.label[0].num == 1234 })
    #expect(message.sample[0].label.count == 1)
    #expect(text(message, message.sample[1].label[1].str) == "truncated")
  }

  @Test("mappings name files by path and build id; addresses are the files' own and lie in them")
  func mappings() throws {
    var replaced = Sample.request
    replaced.frames = [Sample.main]
    replaced.frames[0].buildID = "bb22"
    var moved = Sample.request
    for index in moved.frames.indices { moved.frames[index].address += 0x1000 }
    let message = try decode(Sample.profile(sites: [Sample.request, Sample.cut, replaced, moved]))
    #expect(
      message.mapping.map { "\(text(message, $0.filename)) \(text(message, $0.buildID))" }
        == [
          "\(Sample.server) aa11", "\(Sample.libc) cc33", "\(Sample.library) abcd1234",
          "\(Sample.server) bb22",
        ])
    #expect(message.mapping.map(\.id) == [1, 2, 3, 4])
    #expect(message.location.map(\.id) == Array(1...UInt64(message.location.count)))
    for location in message.location where location.mappingID != 0 {
      #expect(location.address < message.mapping[Int(location.mappingID) - 1].memoryLimit)
    }
    #expect(message.location.contains { $0.mappingID == 0 && $0.address == 0x7f99_0000_0000 })
    #expect(message.sample[3].locationID == message.sample[0].locationID)
  }

  @Test("comments tell filters, an early end, what is left out and what was lost")
  func comments() throws {
    let message = try decode(
      Sample.profile(ended: "interrupted", filters: ["objects older than 5.0 s"], omitted: (3, 2048, 7)))
    #expect(
      message.comment.map { text(message, $0) } == [
        "drip 0.1.0", "kernel 6.18.1, uprobe session", "process 1234 server, /usr/bin/server",
        "ended early: interrupted", "only objects older than 5.0 s",
        "left out: 3 call sites with 2048 bytes outstanding",
        "stacks: 1,118 complete, 3 truncated at 64 frames, 1 unreadable, 0 broken, 0 ended in code just loaded, 0 not stored",
        "17 frees of blocks allocated before the attach",
        "2 frames without a name",
      ])
  }

  @Test("no frame is lost, whatever the stack looks like", arguments: StackEnd.allCases)
  func oddStacks(end: StackEnd) throws {
    var bare = Sample.request
    bare.frames = []
    bare.stackEnd = end
    var inlinedOnly = Sample.request
    inlinedOnly.frames = [Sample.main, Sample.request.frames[1]]
    let message = try decode(Sample.profile(sites: [bare, inlinedOnly]))
    #expect(stack(message, message.sample[0]) == [["(no room for this stack):0"]])
    #expect(stack(message, message.sample[1]) == [["main:90"], ["copy_field:7"]])
  }

  @Test("empty, huge and hostile profiles are encoded")
  func extremes() throws {
    #expect(try decode(Sample.empty).sample.isEmpty)
    let huge = try decode(Sample.huge)
    #expect(huge.sample.count == 3)
    #expect(huge.sample[0].value == [.max, .max, .max, .max])
    #expect(huge.durationNanos == 0)
    #expect(try decode(Sample.hostile).stringTable.contains(Sample.hostileName))
  }

  @Test("the same profile gives the same bytes, with no time in the gzip header")
  func deterministic() throws {
    let bytes = try PprofReport.render(Sample.profile())
    #expect(bytes == (try PprofReport.render(Sample.profile())))
    #expect(Array(bytes[..<8]) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0])
  }

  @Test("a large input is compressed, and comes back whole")
  func large() throws {
    let input = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 100) }
    let packed = try Gzip.compress(input)
    #expect(packed.count < input.count / 2)
    let file = try TemporaryFile(packed)
    #expect(try Tool.run("/bin/gzip", ["-dc", file.path]) == Data(input))
    let empty = try TemporaryFile(try Gzip.compress([]))
    #expect(try Tool.run("/bin/gzip", ["-dc", empty.path]).isEmpty)
  }

  @Test("go tool pprof reads it", .enabled(if: Tool.go != nil, "go is not installed"))
  func goTool() throws {
    let file = try TemporaryFile(try PprofReport.render(Sample.profile()))
    func pprof(_ arguments: String...) throws -> String {
      String(
        decoding: try Tool.run(try #require(Tool.go), ["tool", "pprof"] + arguments + [file.path]),
        as: UTF8.self)
    }
    let top = try pprof("-top", "-sample_index=inuse_space", "-unit=b")
    #expect(top.contains(#/1310720B\s+62\.50%\s+62\.50%\s+1310720B\s+62\.50%\s+strdup/#), "\(top)")
    #expect(top.contains(#/0\s+0%\s+100%\s+1310720B\s+62\.50%\s+copy_field \(inline\)/#), "\(top)")
    #expect(try pprof("-top", "-sample_index=alloc_objects").contains(#/1300.*strdup/#))
    #expect(try pprof("-top").contains("Type: inuse_space"))
    #expect(try pprof("-top").contains("File: server"))
    #expect(try pprof("-comments").contains("17 frees of blocks allocated before the attach"))
    let raw = try pprof("-raw")
    #expect(
      raw.contains("parse_request") && raw.contains("pid:[1234]") && raw.contains("stack_end:[truncated]"),
      "\(raw)")
    #expect(try pprof("-traces", "-lines").contains(#/parse_request .*server\.c:42/#))
  }
}

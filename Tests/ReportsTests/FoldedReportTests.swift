import Profile
import Testing

@testable import Reports

@Suite("folded report")
struct FoldedReportTests {
  @Test("root first, process in front, a cut stack marked, sorted")
  func golden() {
    #expect(
      FoldedReport.render(Sample.profile()) == """
        server-1234;(cut at the depth limit);0x7f9900000000;libfoo.so.1+0x1a2b (build id abcd1234) 786432
        server-1234;main;parse_request;copy_field;strdup 1310720

        """)
  }

  @Test("equal stacks are added up, those of other processes are not, empty ones are left out")
  func merging() {
    var other = Sample.request
    other.pid = 99
    var idle = Sample.cut
    idle.outstandingBytes = 0
    let text = FoldedReport.render(Sample.profile(sites: [Sample.request, other, idle, Sample.request]))
    #expect(
      text == """
        process-99;main;parse_request;copy_field;strdup 1310720
        server-1234;main;parse_request;copy_field;strdup 2621440

        """)
  }

  @Test("a name cannot make another frame, another line or another value")
  func hostile() throws {
    let lines = FoldedReport.render(Sample.hostile).split(omittingEmptySubsequences: false) { $0.isNewline }
    #expect(lines.count == 2 && lines[1].isEmpty)
    let line = lines[0]
    #expect(line.split(separator: ";").count == 2)
    #expect(line.hasSuffix(" 1310720"))
    #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 })
  }

  @Test("every stack end", arguments: StackEnd.allCases)
  func ends(end: StackEnd) {
    var site = Sample.request
    site.stackEnd = end
    let text = FoldedReport.render(Sample.profile(sites: [site]))
    #expect(text.hasPrefix("server-1234;main;") == (end == .complete))
    site.frames = []
    let bare = FoldedReport.render(Sample.profile(sites: [site]))
    #expect(bare == "server-1234;(no room for this stack) 1310720\n")
  }

  @Test("no sites, no lines; sums that do not fit stay at the top")
  func extremes() {
    #expect(FoldedReport.render(Sample.empty).isEmpty)
    #expect(FoldedReport.render(Sample.huge) == "process-2147483647;f 18446744073709551615\n")
  }
}

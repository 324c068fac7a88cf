import Profile
import Testing

@testable import Reports

@Suite("text layout")
struct TextLayoutTests {
  @Test("the whole of a small report")
  func golden() {
    #expect(
      TextReport.render(Sample.profile()) == """
        drip 0.1.0: server (pid 1234), watched 10.0 s on Linux 6.18.1 by uprobe session

        #1  1.25 MiB (62.5 %) in 1,234 objects · oldest 9.8 s · growing 120.0 KiB/s · 1,300 allocs, 66 frees
              strdup  libc.so.6
              copy_field [inlined]  field.h:7
              parse_request  server.c:42
              main  server.c:90

        #2  768.0 KiB (37.5 %) in 1 object · oldest 850 ms · 1 alloc, 0 frees
              libfoo.so.1+0x1a2b  build id abcd1234
              0x7f9900000000  in no file
              … cut at the depth limit

        outstanding  2.00 MiB in 1,235 objects; allocated 10.0 MiB in 5,000 calls, freed 3,765
        tables       48.0 MiB of kernel memory; 1,235 of 1,048,576 objects, 120 of 32,768 stacks
        stacks       1,118 complete, 3 truncated at 64 frames, 1 unreadable, 0 broken, 0 ended in code just loaded, 0 not stored
        losses       none: the counts are exact
        note         17 frees of blocks allocated before the attach
        note         2 frames without a name

        """)
  }

  @Test("an early end, filters and what is left out are said")
  func circumstances() {
    let text = TextReport.render(
      Sample.profile(ended: "target exited", filters: ["objects older than 5.0 s"], omitted: (3, 2048, 1)))
    #expect(text.contains("by uprobe session (target exited)\nonly objects older than 5.0 s\n"))
    #expect(text.contains("not shown    2.00 KiB in 1 object at 3 of 5 call sites (-n shows more)\n"))
  }

  @Test(
    "every kind of loss is shown; those that falsify counts stand apart from facts",
    arguments: LossKind.allCases)
  func losses(kind: LossKind) {
    var losses = Losses()
    losses[kind] = 1234
    let text = TextReport.render(Sample.profile(losses: losses))
    let label = kind.affectsCounts ? "losses       " : "note         "
    #expect(text.contains("\(label)1,234 \(kind.explanation)\n"))
    #expect(text.contains("the counts are exact") != kind.affectsCounts)
  }

  @Test("a stack that does not reach the bottom says why", arguments: StackEnd.allCases)
  func ends(end: StackEnd) {
    var site = Sample.request
    site.stackEnd = end
    let lines = TextReport.render(Sample.profile(sites: [site])).split(separator: "\n")
    let last = lines.firstIndex { $0.hasSuffix("main  server.c:90") }.map { lines[$0 + 1] } ?? ""
    switch end {
    case .complete: #expect(last.hasPrefix("outstanding"))
    case .missing: #expect(last == "      (no room for this stack)")
    default: #expect(last.hasPrefix("      … cut"))
    }
  }

  @Test("a site without frames says so")
  func noFrames() {
    var site = Sample.request
    site.frames = []
    #expect(TextReport.render(Sample.profile(sites: [site])).contains("\n      (no room for this stack)\n"))
  }

  @Test("an empty profile is a report, too; with filters they are named as a cause")
  func empty() {
    #expect(
      TextReport.render(Sample.empty).contains(
        "\nNothing that was allocated while drip watched is outstanding.\n\noutstanding  0 B in 0 objects;"))
    #expect(TextReport.render(Sample.profile(sites: [], filters: ["x"])).contains("and passes the filters"))
  }

  @Test("no hostile name reaches the terminal or breaks a line")
  func hostile() {
    let text = TextReport.render(Sample.hostile)
    #expect(
      text.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value)) }
    )
    #expect(!text.contains("\u{2028}"))
    let plain = TextReport.render(Sample.profile(sites: [Sample.request], filters: ["x"]))
    #expect(text.split(separator: "\n").count == plain.split(separator: "\n").count - 3)
    #expect(text.contains("é漢"))
  }

  @Test("colour only when asked for, and nothing but colour differs")
  func color() throws {
    let profile = Sample.profile()
    let plain = TextReport.render(profile)
    let colored = TextReport.render(profile, options: TextOptions(color: true))
    #expect(!plain.contains("\u{1b}"))
    #expect(colored.contains("\u{1b}[1m1.25 MiB (62.5 %)\u{1b}[0m in 1,234 objects"))
    #expect(colored.contains("main  \u{1b}[2mserver.c:90\u{1b}[0m"))
    #expect(colored.replacing(try Regex("\u{1b}\\[[0-9]+m"), with: "") == plain)
  }

  @Test("a width cuts names, not source positions")
  func width() {
    var site = Sample.request
    site.frames = [Sample.main]
    site.frames[0].function = String(repeating: "n", count: 300)
    let lines = TextReport.render(Sample.profile(sites: [site]), options: TextOptions(width: 80)).split(
      separator: "\n")
    let line = lines.first { $0.contains("nnn") } ?? ""
    #expect(line.count == 80)
    #expect(line.hasSuffix("n…  server.c:90"))
    #expect(TextReport.render(Sample.profile(sites: [site])).contains(site.frames[0].function ?? "?"))
  }

  @Test("the process stands at each site when asked for")
  func process() {
    let text = TextReport.render(Sample.profile(), options: TextOptions(showProcess: true))
    #expect(text.contains("1 alloc, 0 frees · server (pid 1234)\n"))
  }

  @Test("huge values are rendered")
  func huge() {
    let text = TextReport.render(Sample.huge)
    #expect(
      text.contains("#1  8.00 EiB (50.0 %) in 9,223,372,036,854,775,808 objects · oldest ? · growth unknown"))
  }

  @Test(
    "growth in words",
    arguments: [(0.0, "steady"), (2048.0, "growing 2.00 KiB/s"), (-10.0, "shrinking 10 B/s")])
  func growth(rate: Double, words: String) {
    #expect(Wording.growth(rate) == words)
  }
}

import Profile
import Testing

@testable import Reports

@Suite("top table")
struct TopTableTests {
  @Test("the whole of a small block")
  func golden() {
    #expect(
      TopTable.render(Sample.profile(), rows: 10, color: false, width: 150) == """
        drip top  server (pid 1234)  10.0 s
        outstanding 2.00 MiB in 1,235 objects   allocs 5,000   frees 3,765   tables 48.0 MiB   stacks 3 truncated at 64 frames, 1 unreadable
        losses none   notes: 17 frees of blocks allocated before the attach; 2 frames without a name
        OUTSTANDING    OBJECTS        GROWTH    VERDICT   OLDEST     ALLOCS      FREES  CALL SITE
           1.25 MiB      1,234  +120.0 KiB/s          -    9.8 s      1,300         66  copy_field (field.h:7) < parse_request < main
          768.0 KiB          1             -          -   850 ms          1          0  libfoo.so.1+0x1a2b (build id abcd1234) < 0x7f9900000000 < …

        """)
  }

  @Test("with several processes each line says whose it is")
  func processes() {
    var profile = Sample.profile()
    profile.processes.append(Target(pid: 77, startTicks: 1, command: "other", executable: "/bin/other"))
    profile.sites[1].pid = 77
    let lines = TopTable.render(profile, rows: 10, color: false, width: 150).split(separator: "\n")
    #expect(lines[3].hasSuffix("FREES      PID  CALL SITE"))
    #expect(lines[4].contains("        66     1234  copy_field"))
    #expect(lines[5].contains("         0       77  libfoo"))
  }

  @Test("no line is wider than the terminal, no block higher than rows + 5", arguments: [40, 80, 100, 200])
  func fits(width: Int) {
    var losses = Sample.losses
    for kind in LossKind.allCases { losses[kind] = 1_000_000 }
    let profile = Sample.profile(
      sites: Array(repeating: Sample.request, count: 30), losses: losses, ended: "interrupted",
      filters: ["objects older than 5.0 s", "objects of at least 1.00 KiB"], omitted: (4, 1, 1))
    let lines = TopTable.render(profile, rows: 7, color: false, width: width).split(separator: "\n")
    #expect(lines.count <= 12)
    #expect(lines.allSatisfy { $0.count <= width })
    #expect(lines.last == "… 27 more call sites")
    // However narrow it is, it says that something was lost.
    #expect(lines[2].hasPrefix("losses 7,000,000"))
  }

  @Test("losses are red, and colour comes only when asked for")
  func color() {
    var losses = Losses()
    losses[.tableFull] = 5
    let profile = Sample.profile(losses: losses)
    let colored = TopTable.render(profile, rows: 5, color: true, width: 200)
    #expect(colored.contains("\u{1b}[31mlosses 5: 5 allocations not counted"))
    #expect(!TopTable.render(profile, rows: 5, color: false, width: 200).contains("\u{1b}"))
  }

  @Test("nothing yet, hostile names and huge values make lines, too")
  func extremes() {
    #expect(
      TopTable.render(Sample.empty, rows: 5, color: false, width: 80).hasSuffix("\nnothing outstanding yet\n")
    )
    let hostile = TopTable.render(Sample.hostile, rows: 5, color: false, width: 400)
    #expect(hostile.split(separator: "\n").count == 5)
    #expect(!hostile.unicodeScalars.contains("\u{1b}"))
    #expect(TopTable.render(Sample.huge, rows: 5, color: false, width: 400).contains("8.00 EiB"))
  }

  @Test("a stack without room has a name")
  func missing() {
    var site = Sample.request
    site.frames = []
    site.stackEnd = .missing
    let text = TopTable.render(Sample.profile(sites: [site]), rows: 5, color: false, width: 200)
    #expect(text.contains("  (no room for this stack)\n"))
  }

  @Test("the call site is the first frame outside of allocators and runtime libraries")
  func callSite() {
    func frame(_ name: String, _ module: String?) -> Frame {
      Frame(address: 1, function: name, module: module)
    }
    let passages = [
      "/lib/libc.so.6", "/lib/libc-2.31.so", "/lib/libstdc++.so.6", "/lib/libc++.so.1",
      "/lib/ld-linux-x86-64.so.2",
      "/lib/ld-musl-x86_64.so.1", "/opt/libjemalloc.so.2", "/opt/libtcmalloc_minimal.so.4",
      "/opt/libmimalloc.so.2",
    ].enumerated().map { frame("p\($0.offset)", $0.element) }
    #expect(
      CallSite.frame(passages + [frame("mine", "/opt/libcurl.so.4"), frame("main", "/bin/x")])?.function
        == "mine")
    #expect(CallSite.frame(passages)?.function == "p0")
    #expect(CallSite.frame([frame("jit", nil)])?.function == "jit")
    #expect(CallSite.frame([]) == nil)
  }
}

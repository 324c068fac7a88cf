import Profile
import Testing

@Suite("views of stacks")
struct StackViewTests {
  private static let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6"
  private static let program = "/usr/bin/server"

  private func frame(_ function: String?, _ module: String = program, file: String? = nil) -> Frame {
    Frame(address: UInt64(function?.utf8.count ?? 1), function: function, module: module, file: file)
  }

  private func site(_ frames: [Frame], bytes: UInt64 = 10, pid: Int32 = 1, end: StackEnd = .complete) -> Site
  {
    Site(
      pid: pid, outstandingBytes: bytes, outstandingCount: 1, allocs: 3, frees: 2, allocatedBytes: bytes * 3,
      oldestSeconds: Double(bytes), growthBytesPerSecond: 1, frames: frames, stackEnd: end,
      sampled: SampledOutstanding(objects: 1, bytesError: 3, countError: 4))
  }

  private var viaStrdup: Site {
    site([frame("strdup", Self.libc), frame("copy"), frame("main"), frame("__libc_start_main", Self.libc)])
  }
  private var viaString: Site {
    site(
      [frame("operator new(unsigned long)", "/usr/lib/libstdc++.so.6"), frame("copy"), frame("main")],
      bytes: 5)
  }

  @Test("folding begins a stack at the program's own call site, and adds up what is then equal")
  func folding() throws {
    let (sites, summary) = StackView(foldsLibraries: true).apply([viaStrdup, viaString])
    let only = try #require(sites.first)
    #expect(sites.count == 1)
    #expect(only.frames.map(\.function) == ["copy", "main"])
    #expect(only.outstandingBytes == 15 && only.outstandingCount == 2)
    #expect(only.allocs == 6 && only.frees == 4 && only.allocatedBytes == 45)
    #expect(only.oldestSeconds == 10 && only.growthBytesPerSecond == 2)
    // Independent errors: 3² + 3², 4² + 4².
    #expect(only.sampled?.objects == 2)
    #expect(abs((only.sampled?.bytesError ?? 0) - 4.2426) < 0.001)
    #expect(abs((only.sampled?.countError ?? 0) - 5.6569) < 0.001)
    #expect(summary.foldedFrames == 3 && summary.mergedSites == 1)
    #expect(summary.folded == "3 frames folded; 1 of the stacks became equal to another by that")
  }

  @Test("stacks of two processes, and stacks cut for two reasons, stay apart")
  func apart() {
    var other = viaStrdup
    other.pid = 2
    var cut = viaStrdup
    cut.stackEnd = .truncated
    #expect(StackView(foldsLibraries: true).apply([viaStrdup, other, cut]).sites.count == 3)
  }

  @Test("calls on one line are one place; without lines they are told apart by their address")
  func places() {
    func call(_ offset: UInt64, line: Int?) -> Site {
      site([
        Frame(
          address: offset, function: "fill", module: Self.program, file: line.map { _ in "a.c" }, line: line)
      ])
    }
    func count(_ sites: [Site]) -> Int { StackView(foldsLibraries: true).apply(sites).sites.count }
    #expect(count([call(16, line: 8), call(32, line: 8)]) == 1)
    #expect(count([call(16, line: 8), call(16, line: 9)]) == 2)
    #expect(count([call(16, line: nil), call(32, line: nil)]) == 2)
    #expect(count([call(16, line: nil), call(16, line: nil)]) == 1)
  }

  @Test("a stack of libraries alone stays whole; one without frames, too")
  func nothingLeft() {
    let inside = site([frame("strdup", Self.libc), frame("setlocale", Self.libc)])
    let (sites, summary) = StackView(foldsLibraries: true).apply([inside, site([], end: .missing)])
    #expect(sites.map(\.frames.count) == [2, 0])
    #expect(summary.foldedFrames == 0)
    #expect(summary.folded == nil)
  }

  @Test("without a wish nothing changes, not even equal stacks")
  func plain() {
    let view = StackView()
    #expect(view.isPlain)
    let (sites, summary) = view.apply([viaStrdup, viaStrdup])
    #expect(sites == [viaStrdup, viaStrdup])
    #expect(summary == ViewSummary())
  }

  @Test("focus and ignore choose stacks by function, file and module; what goes is counted")
  func filters() throws {
    let parser = site([frame("parse", file: "/src/parser.c"), frame("main")], bytes: 7)
    let unnamed = site([frame(nil, "/opt/libz.so")], bytes: 2)
    let all = [viaStrdup, parser, unnamed]
    func shown(_ view: StackView) -> [UInt64] { view.apply(all).sites.map(\.outstandingBytes) }
    #expect(shown(StackView(focus: [try StackPattern("^copy$")])) == [10])
    #expect(shown(StackView(focus: [try StackPattern("parser\\.c")])) == [7])
    #expect(shown(StackView(focus: [try StackPattern("libz")])) == [2])
    #expect(shown(StackView(focus: [try StackPattern("libz.so\\+0x1")])) == [2])
    #expect(shown(StackView(focus: [try StackPattern("copy"), try StackPattern("parse")])) == [10, 7])
    #expect(shown(StackView(ignore: [try StackPattern("main")])) == [2])
    #expect(shown(StackView(focus: [try StackPattern("main")], ignore: [try StackPattern("strdup")])) == [7])
    let summary = StackView(ignore: [try StackPattern("main")]).apply(all).summary
    #expect(summary.filteredSites == 2 && summary.filteredBytes == 17 && summary.filteredCount == 2)
    #expect(throws: (any Error).self) { try StackPattern("(") }
  }

  @Test("hide folds what matches")
  func hide() throws {
    let (sites, summary) = StackView(hide: [try StackPattern("^copy")]).apply([viaStrdup])
    #expect(sites[0].frames.map(\.function) == ["strdup", "main", "__libc_start_main"])
    #expect(summary.foldedFrames == 1)
  }

  @Test(
    "what is a library's",
    arguments: [
      ("void std::vector<Box<int>, std::allocator<Box<int> > >::_M_realloc_insert<int>(int&&)", true),
      ("std::unique_ptr<Key, std::default_delete<Key> > make_key<int>(int)", false),
      ("std::map<int, int>::operator[](int const&)", true),
      ("bool shop::operator< <int>(shop::Box<int> const&, std::string const&)", false),
      ("operator new[](unsigned long)", true),
      ("(anonymous namespace)::make(std::string)", false),
      ("std::pair<int, int> (anonymous namespace)::pick<int>(int)", false),
      ("__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)", true),
      ("malloc", true), ("je_arena_malloc", false), ("stdlike", false), ("main", false), ("", false),
      ("(", false),
    ])
  func library(function: String, expected: Bool) {
    #expect(LibraryFrame.isLibrary(frame(function)) == expected)
  }

  @Test("the order of sites, by each key, equals as they came")
  func order() {
    var old = viaString
    old.oldestSeconds = 99
    var many = viaString
    many.outstandingCount = 50
    var growing = viaString
    growing.growthBytesPerSecond = 8
    let all = [old, many, growing, viaStrdup]
    #expect(SortKey.bytes.sorted(all) == [viaStrdup, old, many, growing])
    #expect(SortKey.age.sorted(all).first == old)
    #expect(SortKey.count.sorted(all).first == many)
    #expect(SortKey.growth.sorted(all).first == growing)
  }

  @Test("a limit that waits for the view: what it cuts adds up with what is shown")
  func limit() {
    var shown = ShownSites(
      Ranking(Snapshot(elapsedSeconds: 1, sites: []), by: .bytes, limit: nil))
    shown.sites = [site([frame("x")], bytes: 1), viaString, viaStrdup]
    let summary = shown.apply(StackView(foldsLibraries: true), sort: .bytes, limit: 1)
    #expect(shown.sites.map(\.outstandingBytes) == [15])
    #expect(shown.omittedSites == 1 && shown.omittedBytes == 1 && shown.omittedCount == 1)
    #expect(summary.mergedSites == 1)
  }
}

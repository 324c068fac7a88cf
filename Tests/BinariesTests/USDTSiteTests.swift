import Testing

@testable import Binaries

@Suite("USDT sites", .enabled(if: ToyProgram.isPossible, "gcc is not installed"))
struct USDTSiteTests {
  /// The sites of a program's notes by name, or why not.
  private func sites(_ source: String, flags: [String] = ["-O2"]) throws -> (
    [String: Result<USDTSite, USDTSite.Refusal>], ELFFile
  ) {
    let elf = try ToyProgram(source, flags: flags).elf
    var result: [String: Result<USDTSite, USDTSite.Refusal>] = [:]
    for note in USDTNote.read(elf) {
      do throws(USDTSite.Refusal) { result[note.name] = .success(try USDTSite(note, in: elf)) } catch {
        result[note.name] = .failure(error)
      }
    }
    return (result, elf)
  }

  private func why(_ result: Result<USDTSite, USDTSite.Refusal>?) -> String {
    guard case .failure(let refusal)? = result else { return "" }
    return refusal.why
  }

  @Test("where the instruction and the semaphore are in the file")
  func offsets() throws {
    for flags in [["-O2"], ["-O0"], ["-O2", "-no-pie"], ["-O2", "-shared", "-fPIC"]] {
      let (sites, elf) = try sites(USDTToy.program(), flags: flags)
      let counter = try #require(elf.section(named: ".probes"))
      try #require(sites.count == 2)
      for (name, result) in sites {
        let site = try result.get()
        #expect(try elf.bytes(at: site.fileOffset, count: 1) == [0x90])
        #expect(site.instruction == "nop" && site.isEmulated)
        #expect(site.semaphoreOffset == counter.offset)
        #expect(site.arguments.count == (name == "one" ? 1 : 2))
        if name == "two" { #expect(site.arguments[1].location == .constant(42)) }
      }
    }
  }

  @Test("semaphores that the kernel could not count up")
  func semaphores() throws {
    let source =
      USDTToy.preamble + """
        int main(int c, char **v) {
          (void)v;
          POINT("nop", "none", "0", "8@%0", "r"(c));
          POINT("nop", "good", "up", "8@%0", "r"(c));
          POINT("nop", "bss", "zeroed", "8@%0", "r"(c));
          POINT("nop", "code", "main", "8@%0", "r"(c));
          POINT("nop", "odd", "up + 1", "8@%0", "r"(c));
          POINT("nop", "nowhere", "-2", "8@%0", "r"(c));
          return 0;
        }
        """
    let (sites, _) = try sites(source)
    #expect(try sites["none"]?.get().semaphoreOffset == .some(nil))
    #expect(try sites["good"]?.get().semaphoreOffset != nil)
    for name in ["bss", "code", "odd", "nowhere"] {
      #expect(why(sites[name]).contains("semaphore"), "\(name): \(String(describing: sites[name]))")
    }
  }

  @Test("instructions that take no probe, and arguments that cannot be read")
  func instructions() throws {
    let source =
      USDTToy.preamble + """
        FRAME int other(int x) { return x + 1; }
        int main(int c, char **v) {
          (void)v;
          POINT("xchg %%ax, %%ax", "two", "0", "4@%0", "r"(c));
          POINT(".byte 0x0f, 0x1f, 0x40, 0", "four", "0", "4@%0", "r"(c));
          POINT("lock incl (%%rsp)", "locked", "0", "4@%0", "r"(c));
          POINT("int3", "trap", "0", "4@%0", "r"(c));
          POINT("nop", "symbol", "0", "4@zeroed(%%rip)", "r"(c));
          return other(c);
        }
        """
    let (sites, elf) = try sites(source)
    #expect(try sites["two"]?.get().isEmulated == false)
    #expect(try sites["four"]?.get().isEmulated == false)
    #expect(why(sites["locked"]).contains("takes no probe"))
    #expect(why(sites["trap"]).contains("takes no probe"))
    #expect(why(sites["symbol"]).contains("zeroed(%rip)"))
    var note = try #require(USDTNote.read(elf).first)
    for address in [0, .max, .max - 7, elf.segments.first { !$0.isExecutable }?.address ?? 0] as [UInt64] {
      note.address = address
      #expect(throws: USDTSite.Refusal.self) { try USDTSite(note, in: elf) }
    }
  }

  /// The three that Linux 6.18 turns into a call.
  @Test(
    "a nop of five bytes is taken in a function that calls",
    arguments: [USDTToy.nop5, ".byte 0x66, 0x0f, 0x1f, 0x40, 0", ".byte 0x66, 0x66, 0x66, 0x66, 0x90"],
    [["-O2"], ["-O0"], ["-O2", "-fno-omit-frame-pointer"], ["-O2", "-no-pie"]])
  func calls(nop: String, flags: [String]) throws {
    let (sites, elf) = try sites(USDTToy.program(nop: nop), flags: flags)
    try #require(sites.count == 2)
    for (name, result) in sites { #expect(throws: Never.self, "\(name)") { try result.get() } }
    // Without the rules of the frames, nothing is sure.
    var bytes = try elf.bytes(at: 0, count: Int(elf.bytes.count))
    let frames = try #require(elf.section(named: ".eh_frame"))
    bytes.replaceSubrange(
      Int(frames.offset)..<Int(frames.offset) + 4, with: [0, 0, 0, 0])
    let bare = try ELFFile(MemoryBytes(bytes))
    for note in USDTNote.read(bare) {
      #expect(throws: USDTSite.Refusal.self) { try USDTSite(note, in: bare) }
    }
  }

  /// Leaves keep variables below rsp, in each of the ways that gcc has for it.
  @Test("a nop of five bytes is refused where a red zone may be")
  func leaves() throws {
    func leaf(_ name: String, _ words: Int, _ clobbers: String = "") -> String {
      """
      FRAME int \(name)(int a) {
        volatile int x[\(words)];
        x[0] = a;
        POINT("\(USDTToy.nop5)", "\(name)", "0", "4@%0", "r"(a) \(clobbers));
        return x[0];
      }
      """
    }
    let source =
      USDTToy.preamble + leaf("plain", 4) + leaf("pushes", 4, #": "rbx""#) + leaf("lowers", 40)
        + """
        FRAME void probe(void *p) { POINT("\(USDTToy.nop5)", "probe", "0", "8@%0", "r"(p)); }
        extern int puts(const char *);
        FRAME int late(int a) {
          POINT("\(USDTToy.nop5)", "late", "0", "4@%0", "r"(a));
          return a > 5 ? puts("x") + 1 : 0;
        }
        int main(int c, char **v) { probe(v); return plain(c) + pushes(c) + lowers(c) + late(c); }
        """
    let (sites, elf) = try sites(source)
    try #require(sites.count == 5)
    for name in ["plain", "probe", "late"] {
      #expect(why(sites[name]).contains("not set up a frame"), "\(name)")
    }
    for name in ["pushes", "lowers"] { #expect(why(sites[name]).contains("below rsp (`"), "\(name)") }
    // That those two have moved rsp is what makes the frame address alone no proof.
    let frames = try #require(elf.section(named: ".eh_frame"))
    let table = UnwindTable.compile(
      ehFrame: try elf.bytes(at: frames.offset, count: Int(frames.size)), address: frames.address)
    for note in USDTNote.read(elf) where ["pushes", "lowers"].contains(note.name) {
      #expect(try #require(table.rule(at: note.address)).cfaOffset > 8)
    }
    // The frame pointer hides what is below rsp.
    let (framed, _) = try self.sites(source, flags: ["-O2", "-fno-omit-frame-pointer"])
    for name in ["plain", "pushes", "lowers", "probe"] { #expect(!why(framed[name]).isEmpty, "\(name)") }
  }

  @Test("calls that the compiler did not know of prove nothing")
  func hiddenCalls() {
    let call: [UInt8] = [0xe8, 0, 1, 0, 0]  // beyond the function
    let inner: [UInt8] = [0xe8, 0, 0, 0, 0]
    let nop: [UInt8] = [0x0f, 0x1f, 0x44, 0, 0]
    let push: [UInt8] = [0x53], pop: [UInt8] = [0x5b, 0xc3]
    /// push rbx at `pushed`; CFA rsp+8 before it and rsp+16 behind it.
    func doubt(
      _ code: [UInt8], pushed: Int, site: Int, depth: Int32 = 16,
      before: UnwindRule = UnwindRule(.stackPointer, offset: 8)
    ) -> String? {
      let base: UInt64 = 0x1000
      return USDTRedZone.doubt(
        at: base + UInt64(site),
        USDTRedZone.Function(
          range: base..<base + UInt64(code.count),
          steps: [
            (base, before), (base + UInt64(pushed) + 1, UnwindRule(.stackPointer, offset: depth)),
          ]), code)
    }
    #expect(doubt(push + nop + call + pop, pushed: 0, site: 1) == nil)
    // A hook for a profiler at the entry of a leaf.
    #expect(doubt(call + push + nop + pop, pushed: 5, site: 6)?.contains("calls nothing") == true)
    #expect(
      doubt(call + push + nop + pop, pushed: 5, site: 6, before: UnwindRule(.none))?.contains("calls nothing")
        == true)
    // A retpoline in line, a stack that no compiler would call on, a jump that ends the function.
    #expect(doubt(push + nop + inner + pop, pushed: 0, site: 1)?.contains("calls nothing") == true)
    #expect(doubt(push + nop + call + pop, pushed: 0, site: 1, depth: 24)?.contains("calls nothing") == true)
    #expect(doubt(push + nop + [0xe9, 0, 1, 0, 0], pushed: 0, site: 1)?.contains("calls nothing") == true)
    // Before the frame; in the middle of an instruction; among bytes that are none.
    #expect(doubt(nop + push + call + pop, pushed: 5, site: 0)?.contains("not set up a frame") == true)
    #expect(doubt(push + nop + call + pop, pushed: 0, site: 2)?.contains("disassembled") == true)
    #expect(doubt(push + nop + call + [0x06], pushed: 0, site: 1)?.contains("disassembled") == true)
    // mov [rsp-8], rdi
    let low: [UInt8] = [0x48, 0x89, 0x7c, 0x24, 0xf8]
    #expect(doubt(push + low + nop + call + pop, pushed: 0, site: 6)?.contains("below rsp (`mov") == true)
  }
}

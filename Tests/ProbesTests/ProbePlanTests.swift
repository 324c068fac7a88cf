import Glibc
import Profile
import Testing

@testable import Binaries
@testable import Probes

@Suite("probe plans")
struct ProbePlanTests {
  private static let libc = "/lib/x86_64-linux-gnu/libc.so.6"
  private static let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
  private static let python = "/usr/bin/python3"
  private static let hasJemalloc = access(jemalloc, R_OK) == 0

  private static let isGlibc236: Bool = {
    var text = [CChar](repeating: 0, count: 64)
    confstr(Int32(_CS_GNU_LIBC_VERSION), &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      == "glibc 2.36"
  }()

  private func candidate(_ path: String, isExecutable: Bool = false) throws -> PlanCandidate {
    let elf = try ELFFile(try FileBytes(path: path))
    return PlanCandidate(
      path: path, displayPath: path, images: try AllocatorImage.images(in: elf), elf: elf,
      isExecutable: isExecutable)
  }

  @Test("a program on the C library's allocator")
  func libc() throws {
    let plan = try ProbePlan.make(candidates: [
      try candidate(Self.python, isExecutable: true), try candidate(Self.libc),
    ])
    #expect(plan.files[0].path == Self.libc && plan.files[0].allocator == .glibc && plan.notes.isEmpty)
    try check(plan)
  }

  @Test("a replaced allocator", .enabled(if: hasJemalloc, "libjemalloc2 is not installed"))
  func interposed() throws {
    let program = try candidate(Self.python, isExecutable: true)
    let (libc, jemalloc) = (try candidate(Self.libc), try candidate(Self.jemalloc))
    for candidates in [[program, libc, jemalloc], [jemalloc, libc, program]] {
      let plan = try ProbePlan.make(candidates: candidates)
      #expect(plan.files[0].path == Self.jemalloc && plan.files[0].allocator == .jemalloc)
      // libc's own allocator is nothing to tell of.
      #expect(plan.notes.isEmpty)
      try check(plan)
    }
    #expect(throws: PlanError.self) {
      var sanitized = jemalloc
      sanitized.images[0].kind = .sanitizer
      _ = try ProbePlan.make(candidates: [program, sanitized, libc])
    }
  }

  @Test("of several replacements the first", .enabled(if: hasJemalloc, "libjemalloc2 is not installed"))
  func several() throws {
    let first = try candidate(Self.jemalloc)
    var second = first
    second.displayPath = "/second"
    let plan = try ProbePlan.make(candidates: [try candidate(Self.libc), first, second])
    #expect(plan.files[0].displayPath == Self.jemalloc)
    #expect(plan.notes.count == 1 && plan.notes[0].hasPrefix("/second"))
    // The program's own comes before all.
    second.isExecutable = true
    #expect(try ProbePlan.make(candidates: [first, second]).files[0].displayPath == "/second")
  }

  @Test("where libc's own calls lead comes first", .enabled(if: hasJemalloc, "libjemalloc2 is not installed"))
  func bound() throws {
    var libc = try candidate(Self.libc)
    libc.isBound = true
    let plan = try ProbePlan.make(candidates: [
      try candidate(Self.python, isExecutable: true), try candidate(Self.jemalloc), libc,
    ])
    try #require(plan.files.map(\.allocator) == [.glibc, .jemalloc])
    // Of the other what is its own: there is no mallocx in libc, but a malloc.
    let names = Set(plan.files[1].sites.flatMap(\.names))
    #expect(names.isSuperset(of: ["mallocx", "sdallocx", "_Znwm"]))
    #expect(names.isDisjoint(with: ["malloc", "realloc", "calloc", "memalign"]))
    #expect(plan.notes.count == 1 && plan.notes[0].contains("only its own functions"))
  }

  @Test("private allocators are probed beside the public one, wherever they are")
  func privateOnes() throws {
    var libc = try candidate(Self.libc)
    let image = try #require(libc.image)
    // The second copy's sites are where the first one's are: no place is probed twice.
    libc.images.append(AllocatorImage(kind: .jemalloc, isPrivate: true, entries: image.entries))
    #expect(try ProbePlan.make(candidates: [libc]).files.map(\.isPrivate) == [false])
    let calloc = image.entries.filter { $0.call != .free && !$0.names.contains("malloc") }
    libc.images = [
      AllocatorImage(kind: .glibc, entries: image.entries.filter { !calloc.contains($0) }),
      AllocatorImage(kind: .mimalloc, isPrivate: true, entries: calloc),
    ]
    let plan = try ProbePlan.make(candidates: [try candidate(Self.python, isExecutable: true), libc])
    #expect(
      plan.files.map(\.isPrivate) == [false, true] && plan.files.map(\.allocator) == [.glibc, .mimalloc])
    #expect(plan.files.map(\.path) == [Self.libc, Self.libc])
    #expect(Set(plan.sites.map(\.fileOffset)).count == plan.sites.count)
    // A private one is enough.
    libc.images.removeFirst()
    #expect(try ProbePlan.make(candidates: [libc]).files.map(\.isPrivate) == [true])
  }

  @Test(
    "an operator that may throw is watched at its return instructions",
    .enabled(if: hasJemalloc, "libjemalloc2 is not installed"))
  func throwing() throws {
    let jemalloc = try candidate(Self.jemalloc)
    let file = try ProbePlan.make(candidates: [jemalloc]).files[0]
    let functions = file.oneTrap.filter(\.mayThrow)
    let function = try #require(functions.count == 1 ? functions[0] : nil)
    #expect(function.names.first == "_Znwm" && function.call == .malloc)
    #expect(file.sites.contains { $0.fileOffset == function.entryFileOffset && $0.names == function.names })
    #expect(function.sites.first?.site.role == .remember)
    #expect(function.sites.first?.fileOffset == function.entryFileOffset)
    #expect(function.sites.count > 2)
    for located in function.sites.dropFirst() {
      #expect(located.site.role == .leave && located.site.result == .register(0))
      #expect(try jemalloc.elf.bytes(at: located.fileOffset, count: 1) == [0xc3])
    }
    // Without all of its returns there is nothing to be done.
    var other = jemalloc
    for index in other.images[0].entries.indices where other.images[0].entries[index].call == .calloc {
      other.images[0].entries[index].mayThrow = true
    }
    let plan = try ProbePlan.make(candidates: [other])
    #expect(!plan.sites.contains { $0.call == .calloc })
    #expect(plan.notes.contains { $0.contains("calloc cannot be probed") && $0.contains("exception") })
  }

  @Test("a wrapper without all of the functions says so")
  func wrapper() throws {
    let libc = try candidate(Self.libc)
    var wrapper = libc
    wrapper.displayPath = "/wrapper"
    wrapper.isExecutable = true
    wrapper.images[0].kind = .unknown
    wrapper.images[0].entries.removeAll { $0.call == .posixMemalign || $0.call == .reallocarray }
    let plan = try ProbePlan.make(candidates: [libc, wrapper])
    #expect(plan.files.map(\.displayPath) == ["/wrapper"])
    #expect(plan.notes.count == 1 && plan.notes[0].contains("/wrapper does not define posix_memalign:"))
  }

  @Test("allocators that the user names are all there is")
  func named() throws {
    let libc = try candidate(Self.libc)
    let plan = try ProbePlan.make(named: [libc])
    #expect(plan.files == (try ProbePlan.make(candidates: [libc]).files))
  }

  @Test("no allocator at all")
  func none() throws {
    let program = try candidate(Self.python, isExecutable: true)
    #expect(
      throws: PlanError.noAllocator(executable: Self.python, isStatic: false, isStripped: true)
    ) { try ProbePlan.make(candidates: [program]) }
    let texts = [
      PlanError.noAllocator(executable: "/x", isStatic: true, isStripped: true),
      .noAllocator(executable: "/x", isStatic: true, isStripped: false),
      .noAllocator(executable: "/x", isStatic: false, isStripped: false),
    ].map(\.description)
    #expect(Set(texts).count == 3)
    #expect(texts.allSatisfy { $0.contains("/x") && $0.hasSuffix(".") })
    #expect(texts.prefix(2).allSatisfy { $0.contains("static") && $0.contains("allocator") })
  }

  @Test("a hostile image: entries outside of the file, or on data")
  func hostile() throws {
    var libc = try candidate(Self.libc)
    let data = try #require(libc.elf.segments.first { !$0.isExecutable }).address
    for address in [0, data + 64, .max, .max - 10] as [UInt64] {
      libc.images[0].entries = [
        AllocatorImage.Entry(call: .malloc, names: ["malloc"], address: address, size: .max)
      ]
      #expect(throws: PlanError.self) { try ProbePlan.make(candidates: [libc]) }
    }
  }

  /// What is known of one release's code: Debian 12's.
  @Test("glibc 2.36 as Debian builds it", .enabled(if: isGlibc236))
  func debian() throws {
    let plan = try ProbePlan.make(candidates: [try candidate(Self.libc)])
    let expected: [(name: String, offset: UInt64, mnemonic: String)] = [
      ("malloc", 0, "push"), ("calloc", 0, "push"), ("realloc", 0, "push"), ("free", 3, "je"),
      ("posix_memalign", 7, "push"), ("aligned_alloc", 7, "je"), ("memalign", 7, "je"), ("valloc", 7, "push"),
      ("pvalloc", 7, "push"),
    ]
    for (name, offset, mnemonic) in expected {
      let site = try #require(plan.sites.first { $0.names.contains(name) })
      #expect(site.offsetInFunction == offset && site.isEmulated, "\(site)")
      #expect(site.instruction.hasPrefix(mnemonic + " "), "\(site)")
    }
    // Its multiplication writes rdx before the first jump.
    let array = try #require(plan.sites.first { $0.names.contains("reallocarray") })
    #expect(!array.isEmulated && array.offsetInFunction == 0 && array.reason.contains("mul"), "\(array)")
  }

  /// What must hold for every plan, against the bytes of the file.
  private func check(_ plan: ProbePlan) throws {
    let elf = try ELFFile(try FileBytes(path: plan.files[0].path))
    let essential: Set<String> = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "free"]
    #expect(essential.isSubset(of: Set(plan.sites.flatMap(\.names))))
    #expect(Set(plan.sites.map(\.fileOffset)).count == plan.sites.count)
    #expect(plan.sites.map(\.call.rawValue) == plan.sites.map(\.call.rawValue).sorted())
    for site in plan.sites {
      #expect(elf.fileOffset(ofAddress: site.functionAddress + site.offsetInFunction) == site.fileOffset)
      #expect(site.isEmulated == site.reason.isEmpty)
      #expect(site.offsetInFunction <= 64)
      #expect(site.needsReturn == (site.call != .free))
      let code = try elf.bytes(at: site.fileOffset, count: 2)
      let known: [UInt8] = Array(0x50...0x57) + Array(0x70...0x7f) + [0x90, 0xe8, 0xe9, 0xeb]
      let isKnown =
        known.contains(code[0]) || code[0] == 0x41 && (0x50...0x57).contains(code[1])
        || code[0] == 0x0f && (0x80...0x8f).contains(code[1])
      #expect(isKnown == site.isEmulated, "\(site)")
    }
  }
}

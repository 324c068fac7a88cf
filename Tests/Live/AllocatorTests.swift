import Foundation
import Testing

/// drip's numbers against workloads that count their own, with every allocator and every way to link it: as in
/// ExactnessTests, equal to the last byte. DRIP_EXACTNESS_RUNS sets how often.
@Suite("allocators", .enabled(if: canRunLive), .serialized)
struct AllocatorTests {
  static let runs = Int(ProcessInfo.processInfo.environment["DRIP_EXACTNESS_RUNS"] ?? "") ?? 1
  private static let libraries = "/usr/lib/x86_64-linux-gnu/"

  @Test(
    "linked, dynamically and statically",
    arguments: [
      "truth_portable", "truth_glibc_static", "truth_musl", "truth_musl_static", "truth_jemalloc_linked",
      "truth_jemalloc_static", "truth_tcmalloc_linked", "truth_tcmalloc_static", "truth_mimalloc_linked",
    ])
  func linked(workload: String) throws { try check(workload) }

  @Test("preloaded", arguments: ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"])
  func preloaded(library: String) throws { try check("truth_portable", preload: Self.libraries + library) }

  /// Objects of libc's malloc and of the allocator's own functions in one program. Stripped, the private functions
  /// are known from MiniDebugInfo only.
  @Test(
    "own functions, with a prefix or hidden, beside libc's malloc",
    arguments: [
      "truth_jemalloc_own", "truth_tcmalloc_own", "truth_mimalloc_own", "truth_jemalloc_prefixed",
      "truth_jemalloc_prefixed_stripped", "truth_jemalloc_hidden",
    ])
  func own(workload: String) throws { try check(workload) }

  @Test(
    "own functions of an allocator that another one has come before",
    arguments: [
      ("truth_mimalloc_own", "libjemalloc.so.2"), ("truth_tcmalloc_own", "libmimalloc.so.2"),
    ])
  func behindAnother(workload: String, library: String) throws {
    try check(workload, preload: Self.libraries + library)
  }

  @Test(
    "C++'s operators",
    arguments: ["truth_cpp", "truth_cpp_jemalloc", "truth_cpp_tcmalloc", "truth_cpp_mimalloc"])
  func cpp(workload: String) throws {
    for seed in 1...Self.runs {
      let run = try TruthRun(workload, ["\(seed)", "30000"])
      run.expectExact("\(workload), seed \(seed)")
      // Where new is the allocator's own, who called it comes first; libstdc++'s stands between.
      let callers = run.dump.sites.compactMap(\.frames.first?.function)
      #expect(callers.contains("site_new_bytes") == (workload != "truth_cpp"), "\(callers)")
      #expect(callers.contains("operator new(unsigned long)") == (workload == "truth_cpp"), "\(callers)")
    }
  }

  /// A return probe would hide the handler from the search for it, and end the program.
  @Test(
    "a new that throws does not end the program, and is counted by nobody",
    arguments: ["truth_cpp", "truth_cpp_jemalloc", "truth_cpp_tcmalloc"], ["session", "multi", "perf"])
  func throwing(workload: String, backend: String) throws {
    let run = try TruthRun(workload, ["1", "30000", "20"], drip: ["--backend", backend])
    // What the exceptions were made in, and nothing else.
    run.expectExact("\(workload), \(backend)", isAlone: false)
    let elsewhere = try #require(run.seen[TruthRun.elsewhere])
    #expect(elsewhere.allocs == 20 && elsewhere.frees == 20 && elsewhere.outstandingBytes == 0)
  }

  @Test(
    "Rust, on libc's malloc and on a jemalloc of its own", arguments: ["truth_rust", "truth_rust_jemalloc"])
  func rust(workload: String) throws {
    for seed in 1...Self.runs {
      try TruthRun(workload, ["\(seed)", "30000"]).expectExact("\(workload), seed \(seed)")
    }
  }

  @Test("Swift and Go, which allocate for their own ends too", arguments: ["truth_swift", "truth_go"])
  func runtimes(workload: String) throws {
    for run in 1...Self.runs {
      try TruthRun(workload, ["\(run * 1000)"]).expectExact("\(workload), run \(run)", isAlone: false)
    }
  }

  private func check(_ workload: String, preload: String? = nil) throws {
    for seed in 1...Self.runs {
      let threads = [1, 4, 8][seed % 3]
      let run = try TruthRun(workload, ["\(seed)", "30000", "\(threads)"], preload: preload)
      #expect(run.truth.count > 20)
      run.expectExact("\(workload), \(preload ?? "nothing") preloaded, seed \(seed), \(threads) threads")
    }
  }
}

/// `--allocator`, and what the doctor says.
@Suite("the choice of the allocator", .enabled(if: canRunLive), .serialized)
struct AllocatorChoiceTests {
  private static let jemalloc = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
  private static let prefixed = "truth_jemalloc_prefixed"

  private func resting(_ workload: String, preload: String? = nil) throws -> Child {
    let child = try Child(
      DripBinary.workload(workload), ["1", "30000", "4"],
      environment: preload.map { ["LD_PRELOAD": $0] } ?? [:])
    try #require(child.waitForLine { $0 == "READY" } != nil)
    return child
  }

  @Test("a named allocator is the only one that is probed")
  func named() throws {
    // By any path that leads to the file.
    let folder = try TemporaryFolder()
    let link = folder.path + "/here: another"
    try FileManager.default.createSymbolicLink(
      atPath: link, withDestinationPath: DripBinary.workload(Self.prefixed))
    for path in [DripBinary.workload(Self.prefixed), link] {
      let run = try TruthRun(Self.prefixed, ["1", "30000", "4"], drip: ["--allocator", path + ":_rjem_"])
      for (name, truth) in run.truth where truth.allocs > 0 {
        #expect(
          run.seen[name] == (name.contains("strdup") || name.contains("strndup") ? nil : truth), "\(name)")
      }
      #expect(run.dump.losses["total"] == 0)
    }
  }

  @Test("a named file, whatever allocator it holds; several of them")
  func namedWithoutPrefix() throws {
    let file = DripBinary.workload(Self.prefixed)
    let run = try TruthRun(
      Self.prefixed, ["2", "30000", "4"],
      drip: ["--allocator", file, "--allocator", "/lib/x86_64-linux-gnu/libc.so.6"])
    run.expectExact("two files named")
  }

  @Test("what cannot be")
  func refusals() throws {
    let child = try resting("truth_portable")
    let file = DripBinary.workload("truth_portable")
    for (argument, words) in [
      ("/nowhere", ["/nowhere", "not mapped"]), (Self.jemalloc, ["not mapped"]),
      (file, ["defines no malloc"]), (file + ":no_", ["no_malloc", "no_free"]),
      ("/lib/x86_64-linux-gnu/libc.so.6:no_", ["no_malloc", "no full symbol table"]),
    ] {
      let result = try DripBinary.run("dump", "-p", "\(child.pid)", "--allocator", argument)
      #expect(result.status == 3, "\(argument)")
      for word in words { #expect(result.errors.contains(word), "\(argument): \(result.errors)") }
    }
  }

  @Test("the doctor names every allocator, and says which is passed over")
  func doctor() throws {
    let child = try resting(Self.prefixed)
    let text = try DripBinary.run("doctor", "-p", "\(child.pid)").output
    #expect(text.contains("allocator: glibc in ") && text.contains("allocator: jemalloc in "), "\(text)")
    #expect(text.contains("for those who call it by its own names"), "\(text)")
    #expect(text.contains("_rjem_mallocx") && text.contains("probe: malloc+"), "\(text)")

    let second = try resting("truth_tcmalloc_linked", preload: Self.jemalloc)
    let other = try DripBinary.run("doctor", "-p", "\(second.pid)").output
    #expect(other.contains("allocator: jemalloc in "), "\(other)")
    #expect(other.contains("defines malloc too, but comes after"), "\(other)")
  }

  /// A library that is loaded later does not take malloc over, whatever address it comes to lie at.
  @Test("a library that was loaded by dlopen is not taken for the allocator")
  func loadedLater() throws {
    let script = """
      import ctypes, sys
      ctypes.CDLL("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4")
      print("READY", flush=True)
      sys.stdin.readline()
      """
    let child = try Child("/usr/bin/python3", ["-c", script])
    try #require(child.waitForLine { $0 == "READY" } != nil)
    let text = try DripBinary.run("doctor", "-p", "\(child.pid)").output
    #expect(text.contains("allocator: glibc in "), "\(text)")
    #expect(
      text.contains("defines malloc too, but comes after /usr/lib/x86_64-linux-gnu/libc.so.6; only"),
      "\(text)")
  }
}

import Testing

/// What the kernels' verifiers made of drip's programs, as the kernels themselves tell.
@Suite("verifier", Guest.areAvailable, .serialized)
struct VerifierTests {
  /// Instructions walked through over all paths: a program that stays below loads quickly, and far from the
  /// kernel's limit of a million.
  static let limit = 10_000
  @Test("no program takes the verifier more than 10,000 instructions", arguments: Guest.kernels)
  func size(series: String) throws {
    let guest = try Guest.kernel(series)
    for backend in try guest.backends() {
      let figures = try Self.figures("stacks-\(backend)", guest)
      let release = try guest.text("release").split(separator: "\n")[0]
      let names = Set(figures.map(\.name))
      let ends =
        backend == "session"
        ? ["call", "region"] : ["call_enter", "call_leave", "region_entered", "region_left"]
      #expect(
        names.isSuperset(
          of: ends + ["free_enter", "inside", "usdt_alloc", "usdt_free", "forked", "execed", "exited"]))
      for figure in figures {
        #expect((1...Self.limit).contains(figure.instructions), "\(figure.name) on \(release)")
      }
    }
  }

  @Test("nor does one for the kernel's memory", arguments: Guest.kernels)
  func kernelSize(series: String) throws {
    if series == Guest.host { try Test.cancel("the running kernel takes no modules of ours") }
    let guest = try Guest.kernel(series)
    for backend in KernelTests.backends {
      let figures = try Self.figures("kernel-\(backend)", guest)
      let names = Set(figures.map(\.name))
      // The kernel keeps 15 characters of a name.
      let ends: [String] =
        switch backend {
        case "rawtp":
          ["raw_kfree_told", "raw_kfree_twin", "raw_cache_free_", "raw_kmalloc_tol", "raw_cache_alloc"]
        case "kprobe": ["function_entere", "function_left", "function_frees"]
        case "fentry": ["traced_left_0", "traced_frees_0"]
        default: ["event_kfree", "event_cache_fre", "event_kmalloc", "event_cache_all"]
        }
      #expect(names.isSuperset(of: ends), "\(backend): \(names)")
      for figure in figures {
        #expect((1...Self.limit).contains(figure.instructions), "\(figure.name) on \(series)")
      }
    }
  }

  /// What was verified for one step of the checks; printed, too.
  private static func figures(_ step: String, _ guest: Guest) throws -> [(name: String, instructions: Int)] {
    let programs = try guest.text(step + ".programs").split(separator: "\n")
    let figures = try programs.map { line in
      let words = line.split(separator: " ")
      try #require(words.count == 4 && words[0] == "PROGRAM", "\(line)")
      return (name: String(words[1]), instructions: try #require(Int(words[2])))
    }
    let release = try guest.text("release").split(separator: "\n")[0]
    print("kernel \(release), \(step): verified instructions")
    for figure in figures { print("  \(figure.name) \(figure.instructions)") }
    return figures
  }
}

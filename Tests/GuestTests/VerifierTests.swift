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
      let programs = try guest.text("stacks-\(backend).programs").split(separator: "\n")
      let figures = try programs.map { line in
        let words = line.split(separator: " ")
        try #require(words.count == 4 && words[0] == "PROGRAM", "\(line)")
        return (name: String(words[1]), instructions: try #require(Int(words[2])))
      }
      let release = try guest.text("release").split(separator: "\n")[0]
      print("kernel \(release), \(backend): verified instructions")
      for figure in figures { print("  \(figure.name) \(figure.instructions)") }
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
}

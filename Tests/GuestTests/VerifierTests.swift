import Testing

/// What the kernels' verifiers made of drip's programs, as the kernels themselves tell.
@Suite("verifier", Guest.areAvailable, .serialized)
struct VerifierTests {
  /// Instructions walked through over all paths: a program that stays below loads quickly, and far from the
  /// kernel's limit of a million.
  static let limit = 10_000
  /// They walk the stack, and are not below it yet.
  static let large: Set<String> = ["call", "call_leave", "usdt_alloc", "inside"]

  @Test("no program takes the verifier more than 10,000 instructions", arguments: Guest.kernels)
  func size(series: String) throws {
    let guest = try Guest.kernel(series)
    for backend in try guest.backends() {
      let programs = try guest.text("truth-\(backend).programs").split(separator: "\n")
      let figures = try programs.map { line in
        let words = line.split(separator: " ")
        try #require(words.count == 4 && words[0] == "PROGRAM", "\(line)")
        return (name: String(words[1]), instructions: try #require(Int(words[2])))
      }
      let release = try guest.text("release").split(separator: "\n")[0]
      print("kernel \(release), \(backend): verified instructions")
      for figure in figures { print("  \(figure.name) \(figure.instructions)") }
      let names = Set(figures.map(\.name))
      let calls: Set = backend == "session" ? ["call"] : ["call_enter", "call_leave"]
      #expect(names.isSuperset(of: calls.union(["free_enter", "inside", "forked", "execed", "exited"])))
      for figure in figures where !Self.large.contains(figure.name) {
        #expect((1...Self.limit).contains(figure.instructions), "\(figure.name) on \(release)")
      }
      withKnownIssue("the stack walk is larger", isIntermittent: true) {
        for figure in figures where Self.large.contains(figure.name) {
          #expect(figure.instructions <= Self.limit, "\(figure.name) on \(release)")
        }
      }
      for figure in figures { #expect(figure.instructions > 0 && figure.instructions < 1_000_000) }
    }
  }
}

import Testing

@testable import LeakDetection

@Suite("incomplete beta function")
struct IncompleteBetaTests {
  /// Closed forms: I_x(1, b) = 1 - (1 - x)^b, I_x(a, 1) = x^a, I_x(1/2, 1/2) = 2/pi arcsin(sqrt x), and for whole
  /// numbers the tail of a binomial distribution.
  @Test(
    "known values",
    arguments: [
      (0.5, 1, 1, 0.5), (0.25, 1, 3, 0.578125), (0.5, 4, 1, 0.0625), (0.25, 0.5, 0.5, 1.0 / 3),
      (0.5, 0.5, 0.5, 0.5), (0.5, 2, 3, 0.6875), (0.3, 3, 3, 0.16308), (0.9, 3, 1, 0.729), (0.5, 10, 10, 0.5),
    ] as [(Double, Double, Double, Double)])
  func known(x: Double, a: Double, b: Double, expected: Double) {
    #expect((IncompleteBeta.regularised(x, a, b) - expected).magnitude < 1e-13)
    #expect((IncompleteBeta.complement(x, a, b) - (1 - expected)).magnitude < 1e-13)
  }

  @Test("tiny tails keep their digits: 1 - I_1/2(1/2, n + 1/2) of 40 groups and no death")
  func tails() {
    // I_1/2(n, 1) = 2^-n.
    #expect((IncompleteBeta.regularised(0.5, 60, 1) * 0x1p60 - 1).magnitude < 1e-10)
    // 1 - I_1/2(1, n) = 2^-n.
    #expect((IncompleteBeta.complement(0.5, 1, 200) * 0x1p200 - 1).magnitude < 1e-10)
  }

  @Test("symmetry and order over many parameters")
  func symmetry() {
    for a: Double in [0.5, 1.5, 7, 33.3, 400, 50_000.5] {
      for b: Double in [0.5, 2, 19.5, 1000, 70_000] {
        var last = 0.0
        for step in 1..<40 {
          let x = Double(step) / 40
          let value = IncompleteBeta.regularised(x, a, b)
          #expect((value + IncompleteBeta.regularised(1 - x, b, a) - 1).magnitude < 1e-9, "\(x) \(a) \(b)")
          #expect(value >= last - 1e-12)
          last = value
        }
      }
    }
  }

  @Test("ends, and what is not defined")
  func ends() {
    #expect(IncompleteBeta.regularised(0, 2, 3) == 0)
    #expect(IncompleteBeta.regularised(1, 2, 3) == 1)
    let wrong: [(Double, Double, Double)] = [
      (0.5, 0, 1), (0.5, 1, -1), (-0.1, 1, 1), (1.1, 1, 1), (.nan, 1, 1), (0.5, .infinity, 1),
    ]
    for (x, a, b) in wrong {
      #expect(IncompleteBeta.regularised(x, a, b).isNaN)
    }
  }

  @Test("log gamma of factorials and of a half")
  func logGamma() {
    #expect((IncompleteBeta.logGamma(1)).magnitude < 1e-13)
    #expect((IncompleteBeta.logGamma(11) - 15.104412573075516).magnitude < 1e-12)
    #expect((IncompleteBeta.logGamma(0.5) - 0.5723649429247001).magnitude < 1e-13)
  }
}

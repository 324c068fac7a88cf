/// Control of false alarms over many sites that are tested at once.
enum FalseDiscovery {
  /// The probability up to which candidates are believed, so that of those believed about the share `rate` is wrong
  /// (Benjamini and Hochberg, "Controlling the false discovery rate", J. R. Stat. Soc. B 57, 1995), and never more
  /// than `cap`. 0 if none is.
  static func level(_ probabilities: [Double], rate: Double, cap: Double) -> Double {
    let sorted = probabilities.sorted()
    let count = Double(sorted.count)
    let last = sorted.indices.last { sorted[$0] <= rate * Double($0 + 1) / count }
    return last.map { min(sorted[$0], cap) } ?? 0
  }
}

extension SurvivalTest {
  /// Whether the site passed all gates with no more than this probability.
  func isSuspicious(_ level: Double) -> Bool { outcome == .open && probability <= level }
}

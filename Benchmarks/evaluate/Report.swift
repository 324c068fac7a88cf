import DetectionLab
import LeakDetection

/// docs/detection-evaluation.md
struct Report {
  let evaluation: Evaluation
  var page = Markdown()

  init(_ evaluation: Evaluation) { self.evaluation = evaluation }

  /// The whole text. It depends on the evaluation alone.
  static func text(_ evaluation: Evaluation) -> String {
    var report = Report(evaluation)
    report.introduction()
    report.goals()
    report.page.heading(2, "Precision, recall and rank")
    for population in evaluation.populations { report.scores(population) }
    report.alarms()
    report.leaks()
    report.innocents()
    report.holding()
    report.pairs()
    report.sampling()
    report.coverage()
    report.delays()
    return report.page.text
  }

  private mutating func introduction() {
    page.heading(1, "How good the suspicions are")
    page.paragraph(
      "Written by `make evaluate`; two runs write the same file. Statistics alone: no scan of memory is simulated. Simulated services of 300 call sites each are watched for an hour, by a poll every 5 s in the first ten minutes and every 10 s later. Half of the services have no leak, the others one to three. Half are watched from their start, half are attached to when they have run for 1 to 30 minutes. All sites of a service follow its load: flat, a sine, high and low, or rising, with noise that is correlated over half a minute. The *typical* mix is 70 % churn, 15 % start-up, 10 % slow churn and 5 % of the behaviours that confuse detectors; the *adversarial* mix has 18 % of those."
    )
    page.paragraph(
      "The *development* set is what thresholds may be tuned on. The *held-out* sets have ranges that are wider by half at both ends, other seeds, and \(BehaviourKind.allCases.filter(\.isHeldOut).count) classes of behaviour that development does not have (marked † below). A leak that has lost nothing yet is none: calling it one is a false alarm. A leak of less than 4 KiB an hour is a trifle that counts neither way. Numbers in parentheses are Wilson's 95 % intervals. Sites of one service are not independent of each other; the intervals do not know that."
    )
    page.paragraph(
      "Seeds: \(Population.Name.allCases.map { "\($0.rawValue) 0x\(String($0.seed, radix: 16))" }.joined(separator: ", ")), each times 2³² plus 1,000,003 times the number of the service; pairs 0x66. Services: \(evaluation.services) of a set, \(evaluation.services * Population.Name.heldOutFactor) of the held-out typical and adversarial ones, \(evaluation.services / 2) of the sampled ones; a set's first services are the same however many there are. The baselines' thresholds have the best mean F1 at 10, 20 and 60 minutes on the development set: R² of at least \(Figure.decimal(evaluation.thresholds.rSquared, 3)), Mann–Kendall's z of at least \(Figure.decimal(evaluation.thresholds.z, 2)), both with a slope above 0, over 64 points."
    )
  }

  /// What issue and report promise, against what is.
  private mutating func goals() {
    page.heading(2, "Goals")
    var rows: [[String]] = []
    for name in [Population.Name.developmentTypical, .heldOutTypical, .heldOutAdversarial] {
      rows += goals(evaluation.outcomes(name), name.rawValue)
    }
    // Each set by itself and both together; and without the services by which earlier versions were seen to do well.
    let heldOut = [Population.Name.heldOutTypical, .heldOutAdversarial].map { evaluation.outcomes($0) }
    rows += goals(heldOut.flatMap { $0 }, "held out, both mixes")
    rows += goals(
      heldOut.flatMap { $0.dropFirst(evaluation.services) }, "held out, both mixes, without the first third")
    let coverage = coverageOfAll()
    let isCovered = coverage.value.map { (0.90...0.98).contains($0) }
    rows.append([
      "the growth rate's 95 % interval holds the true rate, all sets without sampling, all times", "0.90–0.98",
      Figure.full(coverage), isCovered.map { $0 ? "yes" : "**no**" } ?? "nothing flagged",
    ])
    page.table(["goal", "wanted", "measured", "met"], rows)
  }

  private func goals(_ services: [ServiceOutcome], _ name: String) -> [[String]] {
    let last = checkpoints.count - 1
    func score(_ method: Method, _ checkpoint: Int) -> Score {
      Score(services, at: checkpoint, method, evaluation.thresholds)
    }
    let both = score(.suspicion, last)
    var rows = [
      goal("a leak ranks first at 60 min, \(name)", 0.95, both.first),
      goal("recall of leak + likely at 60 min, \(name)", 0.95, both.recall),
      goal("precision of leak + likely at 60 min, \(name)", 0.90, both.precision),
    ]
    for checkpoint in 0...last {
      rows.append(
        goal(
          "precision of leak at \(checkpoints[checkpoint]) min, \(name)", 0.95,
          score(.drip(.leak), checkpoint).precision))
    }
    let innocent = services.filter { !$0.hasLeaks }
    let rate = Double(innocent.reduce(0) { $0 + $1.falseLeaks.count }) / Double(max(innocent.count, 1))
    rows.append([
      "false leak per innocent service-hour, \(name)", "≤ 0.10", Figure.decimal(rate, 3),
      rate <= 0.1 ? "yes" : "**no**",
    ])
    return rows
  }

  private func goal(_ name: String, _ least: Double, _ measured: Proportion) -> [String] {
    let met = measured.value.map { $0 >= least ? "yes" : "**no**" } ?? "nothing flagged"
    return [name, "≥ " + Figure.decimal(least, 2), Figure.full(measured), met]
  }

  private mutating func scores(_ population: Population) {
    page.heading(3, population.name.rawValue.prefix(1).uppercased() + population.name.rawValue.dropFirst())
    var rows: [[String]] = []
    for method in Method.allCases {
      let scores = checkpoints.indices.map {
        Score(population.outcomes, at: $0, method, evaluation.thresholds)
      }
      rows.append(
        [method.name]
          + scores.map { "\(Figure.share($0.precision)) / \(Figure.share($0.recall))" }
          + [isRanked(method) ? scores.map { Figure.share($0.first) }.joined(separator: " ") : ""])
    }
    page.table(
      ["precision / recall"] + checkpoints.map { "\($0) min" } + ["a leak ranks first"], rows)
    let last = checkpoints.count - 1
    let score = Score(population.outcomes, at: last, .suspicion, evaluation.thresholds)
    page.paragraph(
      "At 60 minutes, leak + likely: precision \(Figure.full(score.precision)), recall \(Figure.full(score.recall)), a leak ranks first in \(Figure.full(score.first)) leaking services. The levels' order ranks, so there is one figure for drip."
    )
  }

  private func isRanked(_ method: Method) -> Bool {
    switch method {
    case .drip: false
    default: true
    }
  }

  private mutating func alarms() {
    page.heading(2, "False alarms in innocent services")
    page.paragraph(
      "Distinct sites that are called leak (or likely) at any of 60 minutes, per hour of a service without any leak. An alarm that is taken back counts."
    )
    let rows = evaluation.populations.map { population in
      let innocent = population.outcomes.filter { !$0.hasLeaks }
      let hours = Double(max(innocent.count, 1))
      func rate(_ calls: [ServiceOutcome.FalseCall]) -> [String] {
        let short = calls.filter { $0.holding <= 1200 }
        return [
          Figure.decimal(Double(short.count) / hours, 3), Figure.decimal(Double(calls.count) / hours, 3),
        ]
      }
      return [population.name.rawValue, "\(innocent.count)"] + rate(innocent.flatMap(\.falseLeaks))
        + rate(innocent.flatMap(\.falseLikely))
    }
    page.table(
      [
        "services", "hours", "leak, cycles ≤ 20 min", "leak, all", "leak or likely, ≤ 20 min",
        "leak or likely, all",
      ],
      rows)
  }
}

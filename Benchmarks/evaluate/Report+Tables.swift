import DetectionLab
import LeakDetection

extension Report {
  /// The exact populations, by what they were drawn from.
  private func judgements(_ names: [Population.Name], at checkpoint: Int) -> [Judgement] {
    names.flatMap { evaluation.outcomes($0) }.flatMap {
      checkpoint < $0.judgements.count ? $0.judgements[checkpoint] : []
    }
  }

  private static let development: [Population.Name] = [.developmentTypical, .developmentAdversarial]
  private static let heldOut: [Population.Name] = [.heldOutTypical, .heldOutAdversarial]
  private static let all: [Population.Name] = development + heldOut + [.longTypical]

  private func name(_ kind: BehaviourKind) -> String { kind.rawValue + (kind.isHeldOut ? " †" : "") }

  mutating func leaks() {
    page.heading(2, "Recall by behaviour")
    page.paragraph(
      "Leaks called leak or likely (in parentheses: watch or more) at each time, in all sets without sampling; and the median of the objects lost by 60 minutes."
    )
    var rows: [[String]] = []
    let byTime = checkpoints.indices.map { judgements(Self.all, at: $0) }
    for kind in BehaviourKind.allCases where kind.isLeak {
      var row = [name(kind)]
      for judgements in byTime {
        let leaking = judgements.filter { $0.kind == kind && $0.truth == .leaking }
        let found = Proportion(leaking.count { $0.level >= .likely }, of: leaking.count)
        let watched = Proportion(leaking.count { $0.level >= .watch }, of: leaking.count)
        row.append("\(Figure.share(found)) (\(Figure.share(watched)))")
      }
      let last = (byTime.last ?? []).filter { $0.kind == kind && $0.truth == .leaking }
      row.append("\(last.count)")
      row.append(Ranks.median(last.map { Double($0.lostObjects) }).map { Figure.decimal($0, 0) } ?? "–")
      rows.append(row)
    }
    page.table(["leak"] + checkpoints.map { "\($0) min" } + ["sites", "lost objects"], rows)
    let missed = judgements(Self.all, at: checkpoints.count - 1)
    let many = missed.filter { $0.truth == .leaking && $0.lostObjects > 30 }
    let some = Proportion(many.count { $0.level >= .likely }, of: many.count)
    page.paragraph("Of leaks that have lost more than 30 objects by 60 minutes: \(Figure.full(some)).")
  }

  mutating func innocents() {
    page.heading(2, "False flags by behaviour")
    page.paragraph(
      "Innocent sites called leak / likely / watch in per cent, in all sets without sampling. The last column counts sites that were called leak at any minute."
    )
    let byTime = checkpoints.indices.map { judgements(Self.all, at: $0) }
    let ever = Self.all.flatMap { evaluation.outcomes($0) }.flatMap(\.falseLeaks)
    var rows: [[String]] = []
    var worst: (kind: BehaviourKind, share: Double)?
    for kind in BehaviourKind.allCases {
      let cells = byTime.map { judgements -> String in
        let innocent = judgements.filter { $0.kind == kind && $0.truth == .innocent }
        return [Verdict.Level.leak, .likely, .watch].map { level in
          percent(Proportion(innocent.count { $0.level == level }, of: innocent.count))
        }.joined(separator: " / ")
      }
      let innocent = (byTime.last ?? []).filter { $0.kind == kind && $0.truth == .innocent }
      guard !innocent.isEmpty else { continue }
      let flagged = Proportion(innocent.count { $0.level >= .likely }, of: innocent.count)
      if let share = flagged.value, share > worst?.share ?? 0, innocent.count >= 20 { worst = (kind, share) }
      rows.append(
        [name(kind) + (kind.isLeak ? " (before it leaks)" : "")] + cells + [
          "\(innocent.count)", "\(ever.count { $0.kind == kind })",
        ])
    }
    page.table(
      ["leak / likely / watch, %"] + checkpoints.map { "\($0) min" } + ["sites", "ever leak"], rows)
    guard let worst else { return page.paragraph("No class was called leak or likely at 60 minutes.") }
    page.paragraph(
      "The worst class at 60 minutes is *\(worst.kind.rawValue)*: \(Figure.decimal(worst.share * 100, 1)) % of its sites were called leak or likely."
    )
  }

  private func percent(_ proportion: Proportion) -> String {
    guard let value = proportion.value else { return "–" }
    return value == 0 ? "0" : Figure.decimal(value * 100, value < 0.1 ? 1 : 0)
  }

  mutating func holding() {
    page.heading(2, "False flags by how long was watched")
    page.paragraph(
      "Innocent sites that take a holding time H to show themselves (to fill, to expire, to turn over), by the time watched T in multiples of H, at all four times."
    )
    let limits = [0, 0.5, 1, 1.25, 1.5, 2, 3, 5, Double.infinity]
    var rows: [[String]] = []
    let byTime = checkpoints.indices.map {
      (
        Double(checkpoints[$0] * 60),
        judgements(Self.all, at: $0).filter { $0.holding > 0 && !$0.kind.isLeak }
      )
    }
    for (low, high) in zip(limits, limits.dropFirst()) {
      let within = byTime.flatMap { time, judgements in
        judgements.filter { time / $0.holding >= low && time / $0.holding < high }
      }
      let shares = [Verdict.Level.leak, .likely, .watch].map { level in
        percent(Proportion(within.count { $0.level == level }, of: within.count))
      }
      let range =
        high.isInfinite
        ? "≥ \(Figure.decimal(low, 2))" : "\(Figure.decimal(low, 2))–\(Figure.decimal(high, 2))"
      rows.append([range] + shares + ["\(within.count)"])
    }
    page.table(["T / H", "leak, %", "likely, %", "watch, %", "sites and times"], rows)
  }

  mutating func pairs() {
    page.heading(2, "Matched pairs")
    page.paragraph(
      "Two sites with the same trace until the time H; then one saturates and the other does not. The area is the probability that the leak ranks before an innocent one (of another pair with the same H and kind, ties counting half): 0.50 is chance. \(evaluation.pairSeeds) pairs of each kind, H of 5, 10 and 20 minutes. Shares are of sites called leak + likely (watch or more)."
    )
    var rows: [[String]] = []
    for kind in MatchedPair.Kind.allCases {
      for multiple in PairRun.multiples { rows.append(pairRow(kind, multiple)) }
    }
    page.table(["kind", "time", "area", "different verdicts", "leak twin", "innocent twin"], rows)
  }

  private func pairRow(_ kind: MatchedPair.Kind, _ multiple: Double) -> [String] {
    let pairs = evaluation.pairs.filter { $0.kind == kind && $0.multiple == multiple }
    let areas = PairRun.partings.compactMap { parting in
      let some = pairs.filter { $0.parting == parting }
      return Ranks.area(some.map(\.leak), some.map(\.innocent), isBefore: Verdict.isGraver)
    }
    let area = areas.reduce(0, +) / Double(max(areas.count, 1))
    func shares(_ verdicts: [Verdict]) -> String {
      let likely = Proportion(verdicts.count { $0.level >= .likely }, of: verdicts.count)
      let watch = Proportion(verdicts.count { $0.level >= .watch }, of: verdicts.count)
      return "\(Figure.share(likely)) (\(Figure.share(watch)))"
    }
    return [
      kind.rawValue, "\(Figure.decimal(multiple, 2)) H", Figure.decimal(area, 2),
      "\(pairs.count { $0.leak != $0.innocent }) of \(pairs.count)", shares(pairs.map(\.leak)),
      shares(pairs.map(\.innocent)),
    ]
  }

  mutating func coverage() {
    page.heading(2, "The growth rate's interval")
    page.paragraph(
      "How often the 95 % interval holds the true rate: leaks that lose at a constant rate at constant load, called watch or more. The true rate is what the law of the leak expects under the load of the later half of what is old enough to be judged (T · 7/16 to T · 7/8)."
    )
    var rows: [[String]] = []
    let sets: [(String, [Population.Name])] = [
      ("development", Self.development), ("held out", Self.heldOut + [.longTypical]),
      ("sampled every 64 KiB", [.sampled64]), ("sampled every 512 KiB", [.sampled512]),
    ]
    for (title, names) in sets {
      rows.append([title] + checkpoints.indices.map { Figure.full(covered(names, at: $0) { _ in true }) })
    }
    rows.append(
      ["all without sampling"] + checkpoints.indices.map { Figure.full(covered(Self.all, at: $0) { _ in true }) })
    for kind in BehaviourKind.allCases where kind.hasConstantRate {
      rows.append([name(kind)] + checkpoints.indices.map { Figure.full(covered(Self.all, at: $0) { $0.kind == kind }) })
    }
    page.table(["interval holds the rate"] + checkpoints.map { "\($0) min" }, rows)
    page.paragraph("All sets without sampling at all four times: \(Figure.full(coverageOfAll())).")
  }

  /// Over all sets without sampling and all times.
  func coverageOfAll() -> Proportion {
    checkpoints.indices.reduce(Proportion()) { $0 + covered(Self.all, at: $1) { _ in true } }
  }

  private func covered(
    _ names: [Population.Name], at checkpoint: Int, where isMeant: (Judgement) -> Bool
  ) -> Proportion {
    var result = Proportion()
    for one in judgements(names, at: checkpoint)
    where one.kind.hasConstantRate && one.truth == .leaking && one.level >= .watch && isMeant(one) {
      guard let growth = one.evidence else { continue }
      result.count(growth.low <= one.trueRate && one.trueRate <= growth.high)
    }
    return result
  }

  mutating func sampling() {
    page.heading(2, "Sampling")
    page.paragraph(
      "Leaks called leak or likely (watch or more) at 60 minutes with sampling every R bytes, by how much they had lost. Of a leak that has lost n R in small objects about n objects are in the sample."
    )
    let limits = [0.0, 8, 16, 40, Double.infinity]
    var rows: [[String]] = []
    for name in [Population.Name.sampled64, .sampled512] {
      let leaking = judgements([name], at: checkpoints.count - 1).filter { $0.truth == .leaking }
      let distance = Double(name.distance)
      let cells = zip(limits, limits.dropFirst()).map { low, high in
        let within = leaking.filter {
          Double($0.lostBytes) >= low * distance && Double($0.lostBytes) < high * distance
        }
        let watched = Proportion(within.count { $0.level >= .watch }, of: within.count)
        let found = Proportion(within.count { $0.level >= .likely }, of: within.count)
        return "\(Figure.share(found)) (\(Figure.share(watched))) of \(within.count)"
      }
      rows.append(["R = \(name.distance >> 10) KiB"] + cells)
    }
    page.table(["lost", "under 8 R", "8 to 16 R", "16 to 40 R", "over 40 R"], rows)
  }

  mutating func delays() {
    page.heading(2, "Time until a suspicion that stays")
    page.paragraph(
      "Minutes from the first lost object until leak or likely is said and kept until the end of the hour, in all sets without sampling. `likely` asks for at least 20 minutes of evidence without a scan of memory."
    )
    let delays = Self.all.flatMap { evaluation.outcomes($0) }.flatMap(\.delays)
    var rows: [[String]] = []
    for kind in BehaviourKind.allCases where kind.isLeak {
      let some = delays.filter { $0.kind == kind }
      let found = some.compactMap(\.minutes).sorted()
      guard !some.isEmpty else { continue }
      let tenth = found.isEmpty ? "–" : "\(found[min(found.count - 1, found.count * 9 / 10)])"
      rows.append([
        name(kind), Ranks.median(found.map { Double($0) }).map { Figure.decimal($0, 0) } ?? "–", tenth,
        "\(some.count - found.count) of \(some.count)",
      ])
    }
    page.table(["leak", "median", "90 %", "never"], rows)
  }
}

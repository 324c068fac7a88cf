import Governor

/// A target whose rate of hits is a function of the time, run under a governor: second by second, millisecond by
/// millisecond while probes are in place.
struct Load {
  /// Hits a second at a time; what the target uses of a CPU by itself.
  var rate: (Double) -> Double
  var use: Double = 1

  struct Run {
    var spending: Spending
    /// By second: what the target's probes cost in it, in seconds of CPU.
    var costs: [Double]
    var decisions: [(at: Double, decision: Governor.Decision)]

    /// The largest share of any stretch of so many seconds.
    func worst(_ seconds: Int) -> Double {
      guard costs.count >= seconds else { return 0 }
      return (0...costs.count - seconds).map { costs[$0..<$0 + seconds].reduce(0, +) / Double(seconds) }.max()
        ?? 0
    }
  }

  func run(_ settings: Governor.Settings, seconds: Double, ownCPUPerWindow: Double = 0.0005) -> Run {
    var governor = Governor(settings)
    var costs = [Double](repeating: 0, count: Int(seconds) + 1)
    var decisions: [(Double, Governor.Decision)] = []
    var now = 0.0
    var interval = Governor.Interval(seconds: 0, secondsInPlace: 0, hits: 0, ownCPU: 0, targetCPU: 0)
    while now < seconds {
      let decision = governor.decide(after: interval)
      decisions.append((now, decision))
      now += decision.pause
      let began = now
      var hits: UInt64 = 0
      // The hits are looked at every millisecond.
      while decision.window > 0, now < began + decision.window, hits < decision.allowance {
        hits += UInt64(rate(now) * 0.001)
        now += 0.001
      }
      let cost = Double(hits) * settings.secondsPerHit + (now > began ? settings.secondsPerWindow : 0)
      if Int(now) < costs.count { costs[Int(now)] += cost + (now > began ? ownCPUPerWindow : 0) }
      interval = Governor.Interval(
        seconds: decision.pause + now - began, secondsInPlace: now - began, hits: hits,
        ownCPU: now > began ? ownCPUPerWindow : 0, targetCPU: use * (decision.pause + now - began) + cost)
    }
    _ = governor.decide(after: interval)
    return Run(spending: governor.spending, costs: costs, decisions: decisions)
  }
}

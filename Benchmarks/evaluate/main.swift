import DetectionLab
import Profile

let r = ServiceRun(seed: 1, index: 0, mix: .typical, parameters: .development)
let clock = ContinuousClock()
for i in 0..<4 {
  let start = clock.now
  var r = ServiceRun(seed: 1, index: i, mix: .typical, parameters: .development)
  let out = r.run()
  print(clock.now - start, out.judgements.count, out.falseLeaks, out.falseLikely, out.delays)
  for (m, js) in zip(checkpoints, out.judgements) {
    for j in js where j.kind.isLeak || j.level >= .likely {
      print(m, j.kind.rawValue, j.truth, j.level, j.lostObjects, j.rank as Any, j.evidence as Any, j.trueRate)
    }
  }
}

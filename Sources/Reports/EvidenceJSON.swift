public import LeakDetection

/// A verdict with its evidence as JSON: the object that `sites[].verdict` is in drip's JSON.
public enum EvidenceJSON {
  public static func render(_ verdict: Verdict) -> String {
    var text = ""
    VerdictJSON.value(verdict).write(to: &text, indent: 2)
    return text
  }
}

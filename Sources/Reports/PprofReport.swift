public import LeakDetection
public import Profile
import SwiftProtobuf

/// pprof's gzipped profile.proto, with the four sample types of Go's heap profiles in Go's order, which is what
/// pprof, Pyroscope and Parca expect.
public enum PprofReport {
  /// The same profile gives the same bytes.
  public static func render(_ profile: HeapProfile, judged: SiteJudgements = SiteJudgements())
    throws(ReportError) -> [UInt8]
  {
    var builder = PprofBuilder()
    builder.addExecutable(of: profile)
    for site in profile.sites { builder.add(site, judged.verdict(site)) }
    let bytes: [UInt8]
    do {
      bytes = try builder.finish(profile).serializedBytes()
    } catch {
      // proto3 messages have no required fields; what remains is protobuf's limit of 2 GiB.
      throw .tooLarge
    }
    return try Gzip.compress(bytes)
  }
}

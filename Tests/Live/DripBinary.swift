import Foundation
import Testing

/// The drip that users get, and the workloads; `make test` says where they are.
enum DripBinary {
  static let path = ProcessInfo.processInfo.environment["DRIP_BINARY"] ?? repository + "/build/drip"
  static let workloads =
    ProcessInfo.processInfo.environment["DRIP_WORKLOADS"] ?? repository + "/Tests/Workloads/bin"
  private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  static func workload(_ name: String) -> String { workloads + "/" + name }

  /// Runs drip to its end.
  static func run(_ arguments: String..., environment: [String: String] = [:]) throws
    -> (status: Int32, output: String, errors: String)
  {
    try LiveTests.run(path, arguments, environment: environment)
  }

  /// Starts drip and returns once its probes are in place.
  static func attach(_ arguments: [String]) throws -> Child {
    let child = try Child(path, arguments)
    let line = try #require(child.waitForErrorLine { $0.contains("attached") }, "drip did not attach")
    #expect(line.contains("attached"))
    return child
  }
}

/// Why live tests cannot run here; nil if they can. CI's machines are root.
let liveObstacle: String? =
  geteuid() != 0
  ? "live tests need root"
  : (FileManager.default.fileExists(atPath: DripBinary.path) ? nil : "build drip first: make test")

/// True if live tests can run; prints the reason once if not.
let canRunLive: Bool = {
  if let liveObstacle { print("skipping live tests: \(liveObstacle)") }
  return liveObstacle == nil
}()

/// What the JSON format promises (docs/formats.md), as far as the tests read it.
struct DumpJSON: Decodable {
  struct Capture: Decodable {
    let seconds: Double
    let backend: String
    let kernel: String
    let ended: String?
    let one_trap: [String]
  }
  struct Process: Decodable {
    let pid: Int32
    let state: String
  }
  struct Totals: Decodable {
    let outstanding_bytes: UInt64
    let outstanding_count: UInt64
    let allocs: UInt64
    let frees: UInt64
    let allocated_bytes: UInt64
  }
  struct Frame: Decodable {
    let function: String?
    let module: String?
    let build_id: String?
    let offset: UInt64
    let file: String?
    let line: Int?
    let inlined: Bool
  }
  struct Site: Decodable {
    let pid: Int32
    let outstanding_bytes: UInt64
    let outstanding_count: UInt64
    let allocs: UInt64
    let frees: UInt64
    let allocated_bytes: UInt64
    let oldest_seconds: Double?
    let stack_end: String
    let frames: [Frame]
  }
  struct StackChecks: Decodable {
    let checked: UInt64
    let agreed: UInt64
    let disagreed: UInt64
    let not_comparable: UInt64
    let not_comparable_reasons: [String: UInt64]
    let dropped: UInt64
    let complete: UInt64
    let truncated: UInt64
  }
  let drip: String
  let stack_checks: StackChecks?
  let capture: Capture
  let processes: [Process]
  let totals: Totals
  let losses: [String: UInt64]
  let sites: [Site]

  static func parse(_ text: String) throws -> DumpJSON {
    try JSONDecoder().decode(DumpJSON.self, from: Data(text.utf8))
  }
}

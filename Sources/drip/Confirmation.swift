import Capture
import Glibc
import LeakDetection
import PointerScan
import Processes
import Profile
import Symbolication

/// Looks whether anything still leads to the objects of the top call sites, and says it in values for the report. To be
/// run while frees are still seen.
struct Confirmation {
  private let session: Session
  private let builder: ProfileBuilder
  private let options: ConfirmOptions
  /// By site.
  private(set) var found: [UInt32: Reachability] = [:]
  /// What a reader should know of how it was done.
  private(set) var notes: [String] = []

  /// Between two searches of a process that runs on.
  private static let secondsBetween = 10.0

  init(_ session: Session, _ builder: ProfileBuilder, _ options: ConfirmOptions) {
    self.session = session
    self.builder = builder
    self.options = options
  }

  /// Inspects sites, those of each process at one time.
  mutating func run(_ sites: [SiteCounts]) async throws {
    try await run(sites, options.inspection, isAsked: true)
  }

  /// The same within the budget of what nobody has asked for: a process whose memory takes longer is told of.
  mutating func runUnasked(_ sites: [SiteCounts]) async throws {
    try await run(sites, options.automatic, isAsked: false)
  }

  private mutating func run(
    _ sites: [SiteCounts], _ inspection: Inspection.Options, isAsked: Bool
  ) async throws {
    for (number, target) in session.running.sorted(by: { $0.key < $1.key }) {
      let own = sites.filter { $0.process == number }.map(\.id)
      guard !own.isEmpty else { continue }
      let name = "\(target.identity.command) (pid \(target.identity.pid))"
      if !isAsked, !inspection.scan.suffices(forStopOf: target.identity.pid) {
        notes.append(
          "\(name) has suspects; to search its memory for pointers to their objects takes longer than --auto-stop allows: --confirm does so"
        )
        continue
      }
      do {
        guard let result = try await inspect(number, target, own, inspection, searchesTwice: isAsked) else {
          notes.append(
            isAsked
              ? "--confirm: \(name) went away; its objects are not inspected"
              : "\(name) has suspects, and was not searched in one stop of --auto-stop: --confirm does so")
          continue
        }
        await add(result, number, target.identity.pid, name, own, isAsked ? "--confirm" : "lost objects")
      } catch let refusal as StopRefusal {
        notes.append("\(isAsked ? "--confirm" : "lost objects"): \(refusal); no object of it is inspected")
      }
    }
  }

  private func inspect(
    _ number: Int, _ target: TargetProcess, _ sites: [UInt32], _ options: Inspection.Options,
    searchesTwice: Bool
  ) async throws -> Inspection? {
    let capture = session.capture
    return try await Inspection.run(
      pid: target.identity.pid, sites: sites, options: options,
      known: { try await capture.liveObjects(of: number) },
      pause: {
        guard searchesTwice else { return false }
        printError("drip: searching \(target.identity.command) a second time in 10 s")
        let end = monotonicSeconds() + Self.secondsBetween
        while monotonicSeconds() < end {
          // The capture goes on meanwhile.
          guard try await session.look(), session.running[number] != nil else { return false }
          try await Task.sleep(for: .milliseconds(100))
        }
        return true
      })
  }

  private mutating func add(
    _ inspection: Inspection, _ number: Int, _ pid: Int32, _ name: String, _ sites: [UInt32],
    _ label: String
  ) async {
    for site in sites {
      var result = Reachability(
        inspected: 0, unreachable: 0, reachable: 0, isStopped: inspection.isFrozen,
        scans: inspection.scans.count, stoppedSeconds: inspection.stoppedSeconds,
        scannedBytes: inspection.bytes)
      var holders: [Kind: (count: Int, example: Inspection.Holder)] = [:]
      for one in inspection.objects where one.object.site == site {
        result.inspected += 1
        switch one.outcome {
        case .unreachable: result.unreachable += 1
        case .onlyFromLost: result.onlyFromSuspects += 1
        case .reachable(let holder):
          result.reachable += 1
          if holder.source == .unknownHeap { result.onlyFromUnknownHeap += 1 }
          let kind = Kind(source: holder.source, site: holder.object?.site)
          holders[kind, default: (0, holder)].count += 1
        }
      }
      let most = holders.max {
        ($0.value.count, $1.key.source.rawValue) < ($1.value.count, $0.key.source.rawValue)
      }
      if let most { result.holder = await describe(most.value.example, number, pid) }
      result.exampleHolder = result.holder?.text
      found[site] = result
    }
    notes.append(statement(inspection, name, label))
  }

  private struct Kind: Hashable {
    let source: PointerSource
    let site: UInt32?
  }

  /// How the process was searched, and what that has cost it.
  private func statement(_ inspection: Inspection, _ name: String, _ label: String) -> String {
    let bytes = Quantities.bytes(inspection.scans.last?.search.bytes ?? 0)
    var text =
      "\(label): \(bytes) of \(name) were searched for pointers to \(inspection.objects.count) objects"
    if inspection.isFrozen {
      text += " while it stood still for \(milliseconds(inspection.stoppedSeconds))"
    } else {
      text += " \(inspection.scans.count) times while it ran"
      if let obstacle = inspection.obstacle { text += ", since \(obstacle)" }
      if inspection.stoppedSeconds > 0 {
        text += "; it stood still for \(milliseconds(inspection.stoppedSeconds)) in vain"
      }
    }
    if inspection.freed > 0 { text += "; \(inspection.freed) more were freed meanwhile" }
    if inspection.overlapping > 0 {
      text += "; \(inspection.overlapping) are left out because a free of theirs was missed"
    }
    return text
  }

  private func milliseconds(_ seconds: Double) -> String {
    Quantities.fixed(seconds * 1000, decimals: seconds < 0.1 ? 1 : 0) + " ms"
  }

  private func describe(_ holder: Inspection.Holder, _ number: Int, _ pid: Int32) async -> Reachability.Holder
  {
    let root = root(holder, number, pid)
    guard let object = holder.object else {
      return Reachability.Holder(
        kind: root.kind, name: root.name, module: root.module, thread: root.thread)
    }
    let frames = await builder.frames(of: object.site, process: number)
    return Reachability.Holder(
      kind: .object, name: frames.isEmpty ? nil : CallSite.name(frames),
      root: holder.source == .object ? nil : root)
  }

  private func root(_ holder: Inspection.Holder, _ number: Int, _ pid: Int32) -> Reachability.Holder.Root {
    let thread = holder.thread == 0 ? nil : holder.thread
    switch holder.source {
    case .data:
      let variable = builder.variable(at: holder.place, process: number)
      return .init(kind: .data, name: variable?.name, module: variable?.module)
    case .threadLocal: return .init(kind: .threadLocal, thread: thread)
    case .stack: return .init(kind: .stack, thread: thread)
    case .register: return .init(kind: .register, thread: thread)
    case .shared: return .init(kind: .shared)
    case .kernel: return .init(kind: .kernel)
    case .object: return .init(kind: .object)
    case .unknownHeap: return .init(kind: .unknownHeap)
    }
  }
}

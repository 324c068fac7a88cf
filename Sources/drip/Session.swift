import Capture
import Probes
import Processes
import Profile

/// The processes that are watched and the capture: what every capturing command begins with, and looks after while
/// it waits.
final class Session {
  let capture: LiveCapture
  /// The processes being traced, by their number in the capture.
  private(set) var running: [Int: TargetProcess]
  /// Facts met on the way that the report should tell.
  private(set) var notes: [String]
  /// Told of each process that is traced anew, while it is sure to be there.
  var onAdd: ((Int, TargetProcess) -> Void)?
  /// Told of each library that a dynamic linker has loaded, as soon as drip knows.
  var onLoad: ((LoadedModule) -> Void)?
  let domain: MemoryDomain
  /// Names of the functions of all allocators found.
  private(set) var allocatorFunctions: Set<String> = []
  private let keepsEnded: Bool
  private let allocators: [String]
  private let planner: TargetPlan
  private var windows: DutyCycle.Schedule?
  private let selection: ProcessSelection
  private var nextSelection = 0.0
  /// Processes of the selection that could not be traced: not tried again and again.
  private var passedOver: Set<Int32> = []
  private var children: ChildFollower?
  /// Seconds between two looks at the mappings that the dynamic linker asks for, and from such a look to a whole one.
  private static let linkerPause = 0.0005
  private static let linkerDelay = 0.03
  private var nextLinkerLook = 0.0
  private var lookBy = Double.infinity
  /// What was seen at such looks.
  private var untold: [LiveCapture.Change] = []
  /// Nil unless stacks are to be checked.
  private let selfCheck: SelfCheck?
  /// Nil unless Python's functions are to be shown.
  let python: PythonNames?

  private init(
    capture: LiveCapture, running: [Int: TargetProcess], notes: [String], keepsEnded: Bool,
    options: TargetOptions, planner: TargetPlan
  ) {
    self.capture = capture
    self.running = running
    self.notes = notes
    self.keepsEnded = keepsEnded
    allocators = options.allocator
    self.planner = planner
    domain = options.domain
    selection = options.selection
    selfCheck = options.checkStacks > 0 ? SelfCheck() : nil
    python = options.python ? PythonNames() : nil
    windows = options.duty?.schedule(from: monotonicNanoseconds())
  }

  /// Opens the targets, finds their allocators, attaches. Every way to fail is a `Failure` that says what to do.
  /// `keepsEnded`: what a process held when it exited stays in the result. `isQuiet`: nobody is told.
  static func open(
    _ options: TargetOptions, keepsEnded: Bool, isQuiet: Bool = false
  ) async throws(Failure) -> Session {
    let facts = SystemFacts.read()
    guard facts.canTrace else { throw Failure(.cannotAttach, CaptureError.notPrivileged.description) }
    guard facts.hasBTF else { throw Failure(.cannotAttach, CaptureError.noTypeInformation.description) }
    Waiter.catchSignals()
    let pids = options.selection.current()
    guard let first = pids.first else { throw Failure(.cannotAttach, options.selection.nothingFound()) }
    let session: Session
    do {
      session = try await begin(pids, options, facts, keepsEnded: keepsEnded)
    } catch let failure as Failure {
      throw failure
    } catch {
      // A target that went away meanwhile explains whatever else failed.
      if let gone = Session.exited(first, error) { throw gone }
      throw Failure(.cannotAttach, "\(error)")
    }
    if !isQuiet { session.announce() }
    return session
  }

  /// Traces the processes. One that was named by its number must be there; of those that a selection found, one will
  /// do.
  private static func begin(
    _ pids: [Int32], _ options: TargetOptions, _ facts: SystemFacts, keepsEnded: Bool
  ) async throws -> Session {
    var session: Session?
    var failures: [String] = []
    for pid in pids {
      do {
        if let session {
          try await session.add(pid)
          continue
        }
        let target = try TargetProcess.open(pid: pid)
        let planner = TargetPlan()
        let plan = try planner.make(for: target, allocators: options.allocator)
        let capture = try LiveCapture(
          target: target, plan: plan, options: options.capture, cpus: facts.possibleCPUs)
        let made = Session(
          capture: capture, running: [0: target], notes: plan.notes, keepsEnded: keepsEnded, options: options,
          planner: planner)
        made.learn(plan)
        await made.followPython(0, target)
        session = made
      } catch  where !options.pids.contains(pid) {
        failures.append("pid \(pid) is not watched: \(error)")
        session?.passedOver.insert(pid)
      }
    }
    guard let session else { throw Failure(.cannotAttach, failures.joined(separator: "\n")) }
    session.notes += failures
    if options.follow {
      session.children = try ChildFollower(session.running.values.map(\.identity.pid))
    }
    return session
  }

  private func announce() {
    let targets = running.values.map(\.identity).sorted { $0.pid < $1.pid }
    let names = targets.prefix(3).map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", ")
    let more = targets.count > 3 ? " and \(targets.count - 3) more" : ""
    printError("drip: attached to \(names)\(more) by \(capture.backend.title)")
  }

  private func learn(_ plan: ProbePlan) { allocatorFunctions.formUnion(plan.sites.flatMap(\.names)) }

  private func add(_ pid: Int32) async throws {
    let target = try TargetProcess.open(pid: pid)
    let plan = try planner.make(for: target, allocators: allocators)
    let number = try await capture.add(target, plan: plan)
    running[number] = target
    notes += plan.notes
    learn(plan)
    await followPython(number, target)
    onAdd?(number, target)
  }

  private func followPython(_ number: Int, _ target: TargetProcess) async {
    guard let python else { return }
    switch python.find(target.identity.pid, number: number) {
    case .found(let runtime): await capture.follow(number, python: runtime)
    case .none(let reason): notes.append("--python: pid \(target.identity.pid): \(reason)")
    }
  }

  /// Follows what has become of the processes, and finds those that belong to them now. False once none is left.
  func look() async throws -> Bool {
    try await handleChildren()
    // First, while the processes are there whose stacks these are.
    try await selfCheck?.run(capture, running)
    await python?.learn(capture, running)
    let changes = untold + (await capture.maintain())
    untold = []
    lookBy = .infinity
    for module in await capture.takeLoadedModules() { onLoad?(module) }
    for change in changes {
      switch change {
      case .exited(let number):
        running[number] = nil
        // The rows of the last one are the result.
        if !keepsEnded, !running.isEmpty { try await capture.purge(number, .exited) }
      case .execed(let number):
        let target = running.removeValue(forKey: number)
        // Its memory is gone with the old program: nothing of that can be outstanding.
        try await capture.purge(number, .execed)
        if let target, children == nil { await follow(target) }
      case .mapped(let number): await extend(number)
      }
    }
    await findMore()
    try await openOrCloseWindow()
    return hasTargets
  }

  /// One that is just executing another program is not running for a moment, and yet there.
  private var hasTargets: Bool { !running.isEmpty || children?.follower.hasTracees == true }

  /// Libraries came to a process: one may have an allocator of its own.
  private func extend(_ number: Int) async {
    guard allocators.isEmpty, let target = running[number] else { return }
    do {
      let plan = try planner.make(for: target, allocators: [])
      let added = try await capture.extend(number, to: plan)
      guard !added.isEmpty else { return }
      learn(plan)
      let names = added.map { displayable($0.displayPath) }.joined(separator: ", ")
      let note =
        "pid \(target.identity.pid) loaded \(names), which has an allocator of its own: counted from then on"
      printError("drip: \(note)")
      notes.append(note)
    } catch {
      // It is gone, or the new library is not to be read: what was counted before still is.
      guard !target.hasExited else { return }
      notes.append("pid \(target.identity.pid) loaded libraries that could not be looked at: \(error)")
    }
  }

  /// Looks at children that stand still and wait for it.
  private func handleChildren() async throws {
    guard var children else { return }
    try await children.handle(
      forget: { pid in
        for (number, target) in running where target.identity.pid == pid {
          running[number] = nil
          try await capture.purge(number, .execed)
        }
      },
      add: { pid in
        do {
          try await add(pid)
          return nil
        } catch {
          return "\(error)"
        }
      },
      note: { notes.append($0) })
    self.children = children
  }

  /// Once a second: processes that have come to belong to the selection.
  private func findMore() async {
    guard selection.isOpen, monotonicSeconds() >= nextSelection else { return }
    nextSelection = monotonicSeconds() + 1
    let known = Set(running.values.map(\.identity.pid)).union(passedOver)
    for pid in selection.current() where !known.contains(pid) {
      do {
        try await add(pid)
        let command = running.values.first { $0.identity.pid == pid }?.identity.command ?? ""
        printError("drip: attached to \(command) (pid \(pid)), too")
      } catch {
        passedOver.insert(pid)
        notes.append("pid \(pid) is not watched: \(error)")
      }
    }
  }

  /// Looks at the last stacks; for when counting has stopped.
  func finishChecks() async throws {
    while try await selfCheck?.run(capture, running) == true {}
  }

  /// What the self-check has found, if there is one.
  func stackChecks(_ losses: Losses) -> StackChecks? { selfCheck?.figures(losses) }

  /// Takes everything off the processes. The tables stay readable.
  func detach() async {
    children?.follower.stop()
    children = nil
    await capture.detach()
  }

  private func openOrCloseWindow() async throws {
    guard let state = windows?.state(at: monotonicNanoseconds()) else { return }
    if state.isOn { try await capture.resume() } else { await capture.pause() }
  }

  /// What the report must say about how the capture was taken.
  func allNotes() async -> [String] {
    notes + (windows == nil ? [] : await capture.windowStatement()) + (await capture.notes)
  }

  /// A process runs another program now: begins anew with it.
  private func follow(_ old: TargetProcess) async {
    let pid = old.identity.pid
    do {
      try await add(pid)
      let command = running.values.first { $0.identity.pid == pid }?.identity.command ?? "another program"
      notes.append("pid \(pid) (\(old.identity.command)) executed \(command): counted anew from then on")
    } catch {
      notes.append(
        "pid \(pid) (\(old.identity.command)) executed another program, which is not watched: \(error)")
    }
  }

  /// Waits for the next moment at which something is to be done. Children that stand still are served meanwhile.
  func wait(
    _ waiter: inout Waiter, until latest: Double
  ) async throws -> Waiter.Event {
    while true {
      waiter.watch(Array(running.values))
      let linker = await capture.wakeDescriptor
      // Not again before this: a program that loads and unloads without end must not keep drip busy.
      let isRested = monotonicSeconds() >= nextLinkerLook
      waiter.wakeDescriptors = [children?.follower.descriptor, isRested ? linker : nil].compactMap { $0 }
      let next = min(await nextLook(atLatest: latest), lookBy)
      let event = waiter.wait(until: isRested ? next : min(next, nextLinkerLook))
      if event == .timeout, monotonicSeconds() < next { continue }
      guard case .woken(let descriptor) = event else { return event }
      if descriptor == linker {
        // The tables first, for the new code is about to run; names and allocators can wait a little.
        untold += await capture.maintain()
        nextLinkerLook = monotonicSeconds() + Self.linkerPause
        lookBy = min(lookBy, nextLinkerLook + Self.linkerDelay)
        // Or a program that loads and unloads without end would be all that drip looks at.
        if monotonicSeconds() >= next { return .timeout }
      } else {
        try await handleChildren()
        if !hasTargets { return .targetExited }
      }
    }
  }

  /// When to look again: soon while something is undecided, else when the caller wants to.
  private func nextLook(atLatest: Double) async -> Double {
    var next = atLatest
    // Its ring buffer holds some 220 stacks.
    if selfCheck != nil { next = min(next, monotonicSeconds() + 0.02) }
    // Code objects come and go, and processes end.
    if python != nil { next = min(next, monotonicSeconds() + 0.05) }
    if await capture.isOnTrial { next = min(next, monotonicSeconds() + 0.05) }
    if let change = windows?.state(at: monotonicNanoseconds()).nextChange {
      next = min(next, Double(change) / 1e9)
    }
    return next
  }

  private static func exited(_ pid: Int32, _ error: any Error) -> Failure? {
    guard !(error is ProcessError) else { return nil }
    do {
      _ = try TargetProcess.open(pid: pid)
      return nil
    } catch {
      return Failure(.cannotAttach, "process \(pid) exited while drip attached; nothing was counted")
    }
  }
}

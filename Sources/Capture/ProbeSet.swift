import Binaries
import CProbes
import Glibc
import Libbpf
import Probes
import Processes
import Profile

/// The probes of one process, and the trials of those that go inside of functions. Dropping it detaches.
final class ProbeSet {
  /// A function that is probed from the inside, or may be.
  private final class Function {
    enum Stage: Equatable {
      /// Entry and return count; what the inner sites tell is compared with them.
      case trial
      /// The inner sites count; calls that were entered before are still to return.
      case draining
      /// The inner sites count alone.
      case inside
      /// The inner sites told something else, or another allocator function is called inside: entry and return
      /// go on counting.
      case refused
    }

    let name: String
    let number: Int
    var stage = Stage.trial
    var entry = Links()
    var inner = Links()

    init(name: String, number: Int) {
      self.name = name
      self.number = number
    }
  }

  /// Calls that must agree before the inner sites are trusted.
  private static let enough: UInt64 = 32

  private let number: Int
  private let slot: Int
  private let pid: Int32
  private var base = Links()
  private var functions: [Function] = []
  /// Probes that are on their way out on another thread.
  private var leaving: [Detaching] = []
  /// The functions that count by their inner sites from the beginning: `one_trap` in abi.h.
  private(set) var initial: UInt32 = 0
  /// Facts about the probes that a reader of the results should know.
  private(set) var notes: [String] = []

  /// Attaches all probes of a plan to one process; nothing counts before its state says so.
  init(
    _ plan: ProbePlan, process number: Int, pid: Int32, kernel: borrowing KernelHalf, options: CaptureOptions
  ) throws(LibbpfError) {
    self.number = number
    self.pid = pid
    slot = number & (kernel.layout.processes - 1)
    // An earlier process in this place has left its counts.
    let firstTrial = slot * Int(DRIP_FUNCTIONS)
    kernel.trials.withMutableElements(drip_trial.self) { trials in
      for index in 0..<Int(DRIP_FUNCTIONS) { trials[firstTrial + index] = drip_trial() }
    }
    if let linker = plan.linker {
      let location = ProbeLocation(fileOffset: linker.fileOffset, cookie: UInt64(number) << 8)
      base.add(try kernel.attachLinker(location, KernelHalf.Place(path: linker.path, pid: pid)))
    }
    if let regions = plan.regions, options.domain.includesMappings {
      let locations = regions.sites.map { site in
        ProbeLocation(
          fileOffset: site.fileOffset, cookie: UInt64(site.call.rawValue) | UInt64(number) << 8)
      }
      base.add(try kernel.attachRegions(locations, KernelHalf.Place(path: regions.path, pid: pid)))
    }
    guard options.domain.includesHeap else { return }
    for file in plan.usdt {
      let place = KernelHalf.Place(path: file.path, pid: pid)
      var locations: [USDTPlan.Event: [ProbeLocation]] = [:]
      for site in file.plan.sites {
        guard let cookie = ProbeCookie.usdt(site, process: number) else { continue }
        locations[site.event, default: []].append(
          ProbeLocation(
            fileOffset: site.usdt.fileOffset, cookie: cookie, semaphoreOffset: site.usdt.semaphoreOffset ?? 0)
        )
      }
      base.add(try kernel.attachUSDT(alloc: locations[.alloc] ?? [], free: locations[.free] ?? [], place))
    }
    try add(plan.files, kernel, options)
  }

  /// Probes files that the process has mapped since; `initial` grows by what is to count by inner sites at once.
  func add(
    _ files: [ProbedFile], _ kernel: borrowing KernelHalf, _ options: CaptureOptions
  ) throws(LibbpfError) {
    for file in files {
      let place = KernelHalf.Place(path: file.path, pid: pid)
      let frees = file.sites.filter { $0.call == .free }
      base.add(try kernel.attachFrees(frees.map { location($0) }, place))
      let inner = file.oneTrap.filter { options.usesOneTrap || $0.mayThrow }
      let entered = file.sites.filter { site in
        site.needsReturn && !inner.contains { $0.entryFileOffset == site.fileOffset }
      }
      base.add(try kernel.attachCalls(entered.map { location($0) }, place))
      for function in inner { try add(function, file, place, kernel) }
    }
  }

  private func add(
    _ function: OneTrapFunction, _ file: ProbedFile, _ place: KernelHalf.Place, _ kernel: borrowing KernelHalf
  ) throws(LibbpfError) {
    guard let site = file.sites.first(where: { $0.fileOffset == function.entryFileOffset }) else { return }
    let next = functions.count
    let cookies = function.sites.map { ProbeCookie.inner($0.site, process: number, function: next) }
    guard next < Int(DRIP_FUNCTIONS), !cookies.contains(nil) else {
      if function.mayThrow {
        notes.append("\(site.names[0]) is not probed: there are too many functions like it")
      } else {
        base.add(try kernel.attachCalls([location(site)], place))
      }
      return
    }
    let made = Function(name: function.names.first ?? "a function", number: next)
    if function.mayThrow {
      made.stage = .inside
      initial |= 1 << UInt32(next)
    } else {
      made.entry = try kernel.attachCalls([location(site, function: next)], place)
    }
    made.inner = try kernel.attachInner(
      zip(function.sites, cookies).compactMap { located, cookie in
        cookie.map { ProbeLocation(fileOffset: located.fileOffset, cookie: $0) }
      }, place)
    functions.append(made)
  }

  private func location(_ site: ProbeSite, function: Int = ProbeCookie.noFunction) -> ProbeLocation {
    ProbeLocation(
      fileOffset: site.fileOffset, cookie: ProbeCookie.entry(site, process: number, function: function))
  }

  /// Takes everything off, on other threads. What still fires meanwhile finds that its process is not counted.
  func detachLater() -> [Detaching] {
    var all = Links()
    swap(&all, &base)
    for function in functions {
      var links = Links()
      swap(&links, &function.entry)
      all.add(links)
      links = Links()
      swap(&links, &function.inner)
      all.add(links)
    }
    functions = []
    release(&all)
    return leaving
  }

  /// Probes that no call needs any more. The kernel takes long to give them up where it has much to do, up to a minute
  /// has been seen, and counting must not wait for it: what still fires finds that its function is counted otherwise.
  private func release(_ links: inout Links) {
    var going = Links()
    swap(&going, &links)
    leaving.removeAll { $0.isDone }
    leaving.append(going.detachLater())
  }

  /// Waits until nothing is on its way out any more.
  func waitForLeaving() {
    while !leaving.allSatisfy(\.isDone) { usleep(1000) }
  }

  /// Some function has not been decided on yet.
  var isOnTrial: Bool { functions.contains { $0.stage == .trial || $0.stage == .draining } }

  /// Names of the functions that one trap a call tells about.
  var oneTrapFunctions: [String] { functions.filter { $0.stage == .inside }.map(\.name) }

  /// Looks how the trials go, and switches functions over. To be called now and then.
  func advance(_ kernel: borrowing KernelHalf) {
    for function in functions {
      switch function.stage {
      case .trial: judge(function, kernel)
      case .draining where !isInFlight(function, kernel):
        function.stage = .inside
        release(&function.entry)
      case .draining, .inside, .refused: break
      }
    }
  }

  private func judge(_ function: Function, _ kernel: borrowing KernelHalf) {
    let trial = kernel.trials.withElements(drip_trial.self) {
      $0[slot * Int(DRIP_FUNCTIONS) + function.number]
    }
    if trial.disagreed > 0 || trial.nested > 0 {
      function.stage = .refused
      release(&function.inner)
      notes.append(
        trial.disagreed > 0
          ? "\(function.name): sites inside of it contradicted entry and return in \(trial.disagreed) of "
            + "\(trial.agreed + trial.disagreed) calls; it is probed at entry and return"
          : "\(function.name) calls other allocator functions; it is probed at entry and return")
    } else if trial.agreed >= Self.enough {
      function.stage = .draining
      kernel.change(slot) { $0.one_trap |= 1 << UInt32(function.number) }
    }
  }

  /// Whether a call that was seen to be entered has not returned: its entry probe's return half is still needed.
  private func isInFlight(_ function: Function, _ kernel: borrowing KernelHalf) -> Bool {
    let number = UInt8(function.number)
    let group = UInt64(UInt32(bitPattern: pid))
    return kernel.inflight.withBytes { start in
      for bucket in 0..<Int(DRIP_CALL_BUCKETS) {
        let owners = (start + bucket * Int(DRIP_CALLS_BYTES)).assumingMemoryBound(to: UInt64.self)
        let calls = UnsafeRawPointer(owners + Int(DRIP_CALLS)).assumingMemoryBound(to: drip_call.self)
        for index in 0..<Int(DRIP_CALLS) where owners[index] >> 32 == group {
          if calls[index].function == number, calls[index].op != UInt8(DRIP_REMEMBERED) { return true }
        }
      }
      return false
    }
  }
}

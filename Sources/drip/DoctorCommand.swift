import ArgumentParser
import Binaries
import Capture
import Glibc
import Probes
import Processes
import Profile
import Reports

struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what works on this kernel and this target, what does not, why, and what to do.")

  @Option(
    name: [.short, .long],
    help: "Also examine this process, and watch it for at most two seconds to check its stacks.")
  var pid: Int32?

  @Flag(
    help: "Also try each way to watch the kernel's own allocations, and whether any of them would be missed.")
  var kernel = false

  func run() async throws {
    let file = try OutputFile(path: nil)
    var sheet = DoctorSheet(color: file.isTerminal && !Environment.noColor)
    let facts = SystemFacts.read()
    sheet.add(.works, "drip \(dripVersion)", "on Linux \(facts.kernelRelease), \(facts.possibleCPUs) CPUs")
    let isPrivileged = addSystem(facts, &sheet)
    if isPrivileged { addTrials(&sheet) }
    if isPrivileged, kernel { await KernelDoctor.add(&sheet, cpus: facts.possibleCPUs) }
    var failure: Failure?
    if let pid { failure = await addTarget(pid, facts, &sheet) }
    try file.write(Array(sheet.text.utf8))
    if let failure { throw failure }
  }

  private func addSystem(_ facts: SystemFacts, _ sheet: inout DoctorSheet) -> Bool {
    if facts.canTrace {
      sheet.add(.works, "privileges", facts.effectiveUser == 0 ? "root" : "capabilities suffice")
    } else {
      sheet.add(
        .fails, "privileges", "user \(facts.effectiveUser) may not load BPF programs",
        CaptureError.notPrivileged.description)
    }
    if facts.hasBTF {
      sheet.add(.works, "kernel type information", "/sys/kernel/btf/vmlinux")
    } else {
      sheet.add(.fails, "kernel type information", "missing", CaptureError.noTypeInformation.description)
    }
    if let lockdown = facts.lockdown, lockdown != "none" {
      sheet.add(
        .note, "kernel lockdown", lockdown, "some probe types may be refused; the trials below show which")
    }
    return facts.canTrace && facts.hasBTF
  }

  private func addTrials(_ sheet: inout DoctorSheet) {
    do {
      let target = try TargetProcess.open(pid: getpid())
      let plan = try TargetPlan().make(for: target)
      for backend in Backend.allCases {
        sheet.add(Trials.backend(backend, plan: plan), isFallback: backend != .perf)
      }
    } catch {
      sheet.add(.fails, "uprobes", "drip cannot examine itself: \(error)")
    }
    for outcome in Trials.kernelProbes() { sheet.add(outcome, isFallback: true) }
  }

  /// What drip would do to the process. The failure, if there is one, is also the exit code.
  private func addTarget(
    _ pid: Int32, _ facts: SystemFacts, _ sheet: inout DoctorSheet
  ) async -> Failure? {
    do {
      let target = try TargetProcess.open(pid: pid)
      sheet.add(
        .works, "process \(pid)", "\(target.identity.command), \(displayable(target.identity.executable))")
      if target.isInOtherMountNamespace {
        sheet.add(
          .note, "mount namespace", "not drip's own", "files are read through /proc/\(pid)/root and map_files"
        )
      }
      let plan = try TargetPlan().make(for: target)
      for file in plan.files {
        let scope = file.isPrivate ? ", for those who call it by its own names" : ""
        sheet.add(.works, "allocator", "\(file.allocator) in \(displayable(file.displayPath))\(scope)")
      }
      for site in plan.sites {
        let detail =
          "\(site.names.joined(separator: ", "))+0x\(String(site.offsetInFunction, radix: 16)) \(site.instruction)"
        if site.isEmulated {
          sheet.add(.works, "probe", detail)
        } else {
          sheet.add(.note, "probe", detail, "single-stepped, about 10 times as slow: \(site.reason)")
        }
      }
      for file in plan.usdt {
        sheet.add(
          .works, "otel_memory", "\(file.plan.sites.count) trace points in \(displayable(file.displayPath))")
      }
      addOneTrap(plan, &sheet)
      for note in plan.notes { sheet.add(.note, "allocator", note) }
      addStacks(pid, &sheet)
      if facts.canTrace, facts.hasBTF { await addCheck(target, plan, facts, &sheet) }
      return nil
    } catch let failure as Failure {
      sheet.add(.fails, "process \(pid)", failure.message)
      return Failure(.cannotAttach, "")
    } catch {
      sheet.add(.fails, "process \(pid)", "\(error)")
      return Failure(.cannotAttach, "")
    }
  }

  /// What can be probed from the inside; whether it then is shows on the live target.
  private func addOneTrap(_ plan: ProbePlan, _ sheet: inout DoctorSheet) {
    for file in plan.files {
      for function in file.oneTrap {
        let places = function.sites.map {
          Self.offset($0.site.offset) + " " + $0.site.instruction
        }
        sheet.add(
          .works, "one trap", "\(function.names.first ?? "a function"): \(places.joined(separator: ", "))",
          "used once the first calls agree with entry and return")
      }
      for (name, why) in file.oneTrapRefusals.sorted(by: { $0.key < $1.key }) {
        sheet.add(.note, "two traps", "\(name): \(why)")
      }
    }
  }

  /// Bytes from the function's first one; parts of a function may stand before it.
  private static func offset(_ offset: UInt64) -> String {
    let signed = Int64(bitPattern: offset)
    return (signed < 0 ? "-0x" : "+0x") + String(signed.magnitude, radix: 16)
  }

  /// Whether the trials of one-trap sites end well, and another unwinder sees the stacks as drip does.
  private func addCheck(
    _ target: TargetProcess, _ plan: ProbePlan, _ facts: SystemFacts, _ sheet: inout DoctorSheet
  ) async {
    do {
      let outcome = try await DoctorCheck.run(target, plan, cpus: facts.possibleCPUs)
      let checks = outcome.checks
      if !outcome.oneTrap.isEmpty {
        sheet.add(
          .works, "trial", "\(outcome.oneTrap.joined(separator: ", ")): counted by the sites inside"
        )
      }
      for note in outcome.notes { sheet.add(.note, "trial", displayable(note)) }
      addTables(outcome.tables, &sheet)
      if checks.checked == 0 {
        sheet.add(.note, "stack check", "the process allocated nothing while drip looked")
      } else {
        sheet.add(checks.agreement ?? 0 < 0.999 ? .note : .works, "stack check", checks.summary)
      }
    } catch {
      sheet.add(.fails, "stack check", "\(error)")
    }
  }

  private func addTables(_ tables: UnwindFigures, _ sheet: inout DoctorSheet) {
    guard tables.rows > 0 else { return }
    let memory = Quantities.bytes(UInt64(tables.bytes))
    let rows = Quantities.count(UInt64(tables.rows))
    let cost = (tables.bytesPerRow * 100).rounded() / 100
    let time = (tables.microsecondsPerRow * 100).rounded() / 100
    sheet.add(
      .works, "unwind tables",
      "\(memory) for \(rows) rows of \(tables.files) files: \(cost) bytes and \(time) µs a row")
  }

  private func addStacks(_ pid: Int32, _ sheet: inout DoctorSheet) {
    let coverage = UnwindCoverage.examine(pid: pid)
    let bare = coverage.filter { !$0.hasTable }
    if bare.isEmpty {
      sheet.add(
        .works, "stacks",
        "all \(coverage.count) code files carry call frame information: stacks will be whole")
      return
    }
    sheet.add(
      .note, "stacks",
      "\(bare.count) of \(coverage.count) code files carry no call frame information: \(bare.map(\.path).joined(separator: ", "))",
      "there drip follows frame pointers; build with -fno-omit-frame-pointer or -fasynchronous-unwind-tables for whole stacks"
    )
  }
}

/// The lines of the doctor's report.
struct DoctorSheet {
  enum Verdict {
    case works
    case fails
    case note
  }

  private let color: Bool
  private(set) var text = ""

  init(color: Bool) { self.color = color }

  mutating func add(_ outcome: Trials.Outcome, isFallback: Bool) {
    if let failure = outcome.failure {
      add(isFallback ? .note : .fails, outcome.name, "not here: \(failure)", "needed for: \(outcome.meaning)")
    } else {
      add(.works, outcome.name, outcome.meaning)
    }
  }

  mutating func add(_ verdict: Verdict, _ name: String, _ detail: String, _ advice: String? = nil) {
    let (mark, paint) =
      switch verdict {
      case .works: ("works", "32")
      case .fails: ("FAILS", "31")
      case .note: ("note ", "33")
      }
    let shown = color ? "\u{1b}[\(paint)m\(mark)\u{1b}[0m" : mark
    text += "\(shown)  \(name): \(detail)\n"
    if let advice { text += "       → \(advice)\n" }
  }
}

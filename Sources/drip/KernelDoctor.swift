import Capture
import Processes
import Profile
import Symbolication

/// What `drip doctor` tries of the kernel's own allocations: each backend for real, and whether function probes would
/// miss any.
enum KernelDoctor {
  private static let surveySeconds = 1.0

  static func add(_ sheet: inout DoctorSheet, cpus: Int) async {
    var working: [KernelBackend] = []
    for backend in KernelBackend.allCases {
      let options = KernelCaptureOptions(
        backend: backend, stacks: .never, maxLive: 1 << 12, maxSites: 1 << 9)
      do {
        let capture = try KernelCapture(options: options, cpus: cpus)
        await capture.detach()
        working.append(backend)
        let unheard = capture.coverage.unheardFrees
        let detail = "\(capture.coverage.hooks.count) hooks"
        if unheard.isEmpty {
          sheet.add(.works, "kernel by \(backend.title)", detail)
        } else {
          sheet.add(
            .note, "kernel by \(backend.title)", detail,
            "not told of: \(unheard.joined(separator: ", ")); objects freed so look outstanding")
        }
      } catch {
        // The last line would be an advice that the others give, too.
        let reason = "\(error)".split(separator: "\n").dropFirst().first.map(String.init) ?? "\(error)"
        sheet.add(.note, "kernel by \(backend.title)", "refused", String(reason.drop { $0 == " " }))
      }
    }
    if working.contains(.rawtp) { await survey(&sheet, cpus: cpus) }
  }

  /// Tracepoints tell of every allocation, and its stack in which function that was: functions that no probe is meant for
  /// are what the other backends would miss.
  private static func survey(_ sheet: inout DoctorSheet, cpus: Int) async {
    do {
      let planned = try KernelCapture.plannedFunctions()
      let names = try KernelNames()
      let capture = try KernelCapture(
        options: KernelCaptureOptions(
          backend: .rawtp, stacks: .always, domains: [.slab], maxLive: 1 << 15, maxSites: 1 << 12), cpus: cpus
      )
      _ = Waiter().wait(until: monotonicSeconds() + surveySeconds)
      await capture.stop()
      var told: [String: UInt64] = [:]
      for site in try await capture.snapshot().sites {
        guard let function = names.frames(await capture.stack(of: site.id).addresses).first?.function else {
          continue
        }
        told[function, default: 0] += site.allocs
      }
      await capture.detach()
      let missed = told.filter { !planned.contains($0.key) }.sorted {
        ($0.value, $1.key) > ($1.value, $0.key)
      }
      let all = told.values.reduce(0, +)
      let detail = "\(Quantities.count(all)) allocations in \(told.count) functions"
      guard all > 0 else {
        sheet.add(
          .note, "kernel functions", "not surveyed",
          "nothing was allocated while drip looked: try again on a busy system")
        return
      }
      guard !missed.isEmpty else {
        sheet.add(.works, "kernel functions", detail + ", all of which can be probed")
        return
      }
      let list = missed.prefix(4).map { "\($0.key) (\(Quantities.percent($0.value, of: all)))" }.joined(
        separator: ", ")
      sheet.add(
        .note, "kernel functions", detail,
        "fentry and kprobe would miss what is allocated in \(list); tracepoints do not")
    } catch {
      sheet.add(.note, "kernel functions", "not surveyed", "\(error)")
    }
  }
}

import CProbes
import Glibc
import Libbpf
public import Probes
import Processes

/// Tries what drip may need of the kernel, for real: loads, attaches, counts. What works is known by trying
/// only; versions and configuration say little (a hardened or locked-down kernel refuses what it has).
public enum Trials {
  /// The result of one trial: nil if it worked.
  public struct Outcome: Sendable {
    public let name: String
    public let failure: String?
    /// What the probe type is for, or what its absence means.
    public let meaning: String
  }

  /// Attaches a backend to drip itself and checks that allocations made now are counted exactly.
  public static func backend(_ backend: Backend, plan: ProbePlan) -> Outcome {
    let meaning =
      switch backend {
      case .session: "the cheapest way to see an allocation's result (Linux 6.13)"
      case .multi: "quick attach and detach (Linux 6.6)"
      case .perf: "works everywhere; detaching takes about 0.1 s a probe"
      }
    do throws(LibbpfError) {
      let options = CaptureOptions(maxLive: 65_536, maxSites: 1024, usesOneTrap: false)
      let kernel = try KernelHalf(
        backend: backend, options: options, layout: TableLayout(options: options, cpus: cpuCount()),
        epochNanoseconds: monotonicNanoseconds())
      let probes = try ProbeSet(plan, process: 0, pid: getpid(), kernel: kernel, options: options)
      kernel.change(0) { $0.state = DRIP_STATE_ON.rawValue }
      // A size that nobody else asks for tells our own calls from the runtime's.
      let size = 54_321
      let blocks = (0..<3).map { _ in malloc(size) }
      free(blocks[0])
      kernel.change(0) { $0.state = DRIP_STATE_OFF.rawValue }
      var scan = SizeCount(size: UInt64(size))
      scan.add(buckets: kernel.live)
      free(blocks[1])
      free(blocks[2])
      withExtendedLifetime(probes) {}
      let failure = scan.found == 2 ? nil : "attached, but saw \(scan.found) of 2 test allocations"
      return Outcome(name: backend.title, failure: failure, meaning: meaning)
    } catch {
      return Outcome(name: backend.title, failure: "\(error)", meaning: meaning)
    }
  }

  /// Loads and attaches one empty program of each kernel probe type, one after the other.
  public static func kernelProbes() -> [Outcome] {
    let types: [(program: String, name: String, meaning: String)] = [
      ("try_raw_tracepoint", "raw tracepoint", "kernel allocations, cheapest"),
      ("try_btf_tracepoint", "BTF tracepoint", "kernel allocations, typed arguments"),
      ("try_tracepoint", "tracepoint", "kernel allocations on old kernels"),
      ("try_kprobe", "kprobe", "kernel functions that have no tracepoint"),
      ("try_fentry", "fentry", "kernel functions, cheaper than kprobe"),
    ]
    return types.map { type in
      do throws(LibbpfError) {
        let image = UnsafeRawBufferPointer(
          start: drip_doctor_object_pointer(), count: drip_doctor_object_size)
        let object = try BPFObject(image: image, name: "drip_doctor")
        for other in types { try object.program(other.program).setAutoload(other.program == type.program) }
        try object.load()
        _ = try object.program(type.program).attach()
        return Outcome(name: type.name, failure: nil, meaning: type.meaning)
      } catch {
        return Outcome(name: type.name, failure: error.reason, meaning: type.meaning)
      }
    }
  }

  private static func cpuCount() -> Int { max(Int(sysconf(Int32(_SC_NPROCESSORS_CONF))), 1) }
}

/// Counts live objects of one size.
private struct SizeCount {
  let size: UInt64
  private(set) var found = 0

  init(size: UInt64) { self.size = size }

  mutating func add(buckets: borrowing MappedArray) {
    let ways = Int(DRIP_WAYS)
    let size = size
    let count = buckets.count
    found = buckets.withBytes { start in
      var found = 0
      for index in 0..<count {
        let words = (start + index * Int(DRIP_BUCKET_BYTES)).assumingMemoryBound(to: UInt64.self)
        for way in 0..<ways where words[way] != 0 && words[ways + way] >> UInt64(DRIP_SITE_BITS) == size {
          found += 1
        }
      }
      return found
    }
  }
}

import Foundation
import Testing

/// drip on other kernels than the one that runs here. Each is booted once (Guest); the tests judge the files that
/// Tests/Guest/checks left there.
@Suite("guest kernels", Guest.areAvailable, .serialized)
struct GuestTests {
  @Test("drip starts in a machine of 1 GiB and knows what the kernel offers", arguments: Guest.kernels)
  func doctor(series: String) throws {
    let guest = try Guest.kernel(series)
    if series != Guest.host {
      #expect(try guest.text("release").hasPrefix(series + "."))
      let memory = try #require(try guest.text("meminfo").split { !$0.isNumber }.first.flatMap { Int($0) })
      #expect(memory <= 1 << 20, "\(memory) KiB")
    }
    #expect(try guest.status(of: "version") == 0)
    #expect(try guest.status(of: "doctor") == 0)
    let doctor = try guest.text("doctor")
    print("kernel \(series):\n\(doctor)")
    let lines = doctor.split(separator: "\n")
    func works(_ name: String) -> Bool { lines.contains { $0.hasPrefix("works  \(name): ") } }
    #expect(works("privileges"))
    #expect(works("kernel type information"))
    let backends = try guest.backends()
    #expect(works("uprobe session") == backends.contains("session"))
    #expect(works("uprobe multi") == backends.contains("multi"))
    #expect(works("perf uprobe"))
    #expect(works("raw tracepoint"))
    // What the running kernel refuses of these is its own affair; Debian's have them all.
    if series != Guest.host {
      for name in ["BTF tracepoint", "tracepoint", "kprobe", "fentry"] { #expect(works(name), "\(name)") }
    }
  }

  @Test(
    "each backend loads where the kernel has it, and is refused in words elsewhere", arguments: Guest.kernels)
  func backends(series: String) throws {
    let guest = try Guest.kernel(series)
    let expected = try guest.backends()
    for backend in ["session", "multi", "perf"] {
      let status = try guest.status(of: "truth-\(backend)")
      let words = try guest.text("truth-\(backend).errors")
      if expected.contains(backend) {
        #expect(status == 0, "\(backend): \(words)")
      } else {
        #expect(status == 3, "\(backend): \(words)")
        #expect(words.contains("the kernel refused drip's probes"), "\(words)")
        #expect(!words.contains("CAP_BPF"), "privileges are not what is missing: \(words)")
      }
    }
  }

  @Test("the counts of every call site equal the program's own, to the byte", arguments: Guest.kernels)
  func exactness(series: String) throws {
    let guest = try Guest.kernel(series)
    for backend in try guest.backends() {
      for step in ["truth-\(backend)", "stacks-\(backend)"] {
        let truth = try TruthFile(guest.text(step + ".truth"))
        let dump = try GuestDump(guest.text(step + ".json"))
        #expect(
          dump.capture.kernel == (try guest.text("release").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(dump.losses["total"] == 0, "\(step): \(dump.losses)")
        #expect(step.hasPrefix("stacks") || truth.sites.count > 10)
        #expect(dump.counts(by: truth.sites.keys) == truth.sites.filter { $0.value.allocs > 0 }, "\(step)")
      }
    }
  }

  @Test("stacks of a program without frame pointers are whole", arguments: Guest.kernels)
  func stacks(series: String) throws {
    let guest = try Guest.kernel(series)
    for backend in try guest.backends() {
      let chain = try TruthFile(guest.text("stacks-\(backend).truth")).chain
      try #require(chain.count == 10)
      let dump = try GuestDump(guest.text("stacks-\(backend).json"))
      let site = try #require(dump.sites.first)
      #expect(dump.sites.count == 1)
      #expect(site.frames.prefix(10).map(\.function) == chain, "\(backend)")
      #expect(site.frames.last?.function == "_start", "\(backend)")
      #expect(site.stack_end == "complete", "\(backend)")
      // The thread library and vfprintf's callers are in it, too: no frame pointers there either.
      let ends = Set(try GuestDump(guest.text("truth-\(backend).json")).sites.map(\.stack_end))
      #expect(ends == ["complete"], "\(backend)")
    }
  }

  @Test("the module leaks what it says it does, and gives it back", arguments: Guest.kernels)
  func module(series: String) throws {
    let guest = try Guest.kernel(series)
    if series == Guest.host { try Test.cancel("the running kernel takes no modules of ours") }
    #expect(try guest.status(of: "module") == 0)
    let truth = try TruthFile(guest.text("module.truth")).sites
    #expect(
      truth["drip_leak_kmalloc"]
        == SiteCounts(allocs: 1000, frees: 0, allocatedBytes: 512_000, outstandingBytes: 512_000))
    #expect(
      truth["drip_leak_krealloc"]
        == SiteCounts(allocs: 60, frees: 30, allocatedBytes: 30 * 764, outstandingBytes: 21_000))
    #expect(truth["drip_leak_bulk"]?.allocs == 100)
    #expect(truth["drip_ok_rcu"]?.allocs == 2000)
    for (name, counts) in truth {
      #expect(counts.allocs > 0, "\(name)")
      #expect((counts.outstandingBytes == 0) == name.hasPrefix("drip_ok_"), "\(name): \(counts)")
    }
    for (name, counts) in try TruthFile(guest.text("module.released")).sites {
      #expect(counts.allocs == counts.frees, "\(name)")
      #expect(counts.outstandingBytes == 0, "\(name)")
    }
  }
}

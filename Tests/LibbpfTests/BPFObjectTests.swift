import CProbes
import Glibc
import Testing

@testable import Libbpf

/// BPF needs privileges; say so instead of failing where there are none.
let canLoadBPF: Bool = {
  if geteuid() != 0 { print("skipping BPF tests: not root") }
  return geteuid() == 0
}()

@Suite("BPF object")
struct BPFObjectTests {
  private func openUserObject() throws -> BPFObject {
    try BPFObject(
      image: UnsafeRawBufferPointer(start: drip_user_object_pointer(), count: drip_user_object_size),
      name: "test")
  }

  @Test("bytes that are no object are refused with libbpf's own code, in words")
  func junk() {
    let junk: [UInt8] = [1, 2, 3, 4]
    let error = #expect(throws: LibbpfError.self) {
      try junk.withUnsafeBytes { bytes in _ = try BPFObject(image: bytes, name: "junk") }
    }
    #expect(error?.operation == "bpf_object__open_mem")
    #expect(error?.code == 4001)
    #expect(error?.reason.lowercased().contains("format") == true, "\(error?.reason ?? "")")
  }

  @Test("a map and a program that are not there are named in the error")
  func missing() throws {
    let object = try openUserObject()
    let map = #expect(throws: LibbpfError.self) { _ = try object.map("nonsense") }
    #expect(map?.subject == "nonsense")
    let program = #expect(throws: LibbpfError.self) { _ = try object.program("nonsense") }
    #expect(program?.description.contains("nonsense") == true)
  }

  @Test("constants are found by name through the object's BTF")
  func constants() throws {
    let object = try openUserObject()
    let mask = try object.constantOffset(of: "bucket_shift")
    let sites = try object.constantOffset(of: "site_mask")
    #expect(mask != sites)
    let error = #expect(throws: LibbpfError.self) { _ = try object.constantOffset(of: "no_such_constant") }
    #expect(error?.subject == "no_such_constant")
  }

  @Test("a permission error says what the user needs")
  func advice() {
    let error = LibbpfError(operation: "bpf", subject: "map", code: EPERM)
    #expect(error.description.contains("CAP_BPF"))
    #expect(LibbpfError(operation: "bpf", subject: "map", code: ENOMEM).description.contains("--max-live"))
  }

  @Test("a program that the verifier refuses is refused in the verifier's words", .enabled(if: canLoadBPF))
  func verdict() throws {
    let object = try openUserObject()
    for name in ["call_enter", "call_leave", "region_entered", "region_left", "region"] {
      try object.program(name).setAutoload(false)
    }
    // A session program that is not attached as one may not ask which end it is at.
    let error = #expect(throws: LibbpfError.self) { try object.load() }
    #expect(error?.verdict?.contains("bpf_session_is_return") == true, "\(error?.log ?? [])")
    #expect(error?.description.contains("CAP_BPF") == false)
  }

  @Test("a mapped array is shared with the kernel", .enabled(if: canLoadBPF))
  func mapped() throws {
    let object = try openUserObject()
    try object.program("call").setAttachType(.uprobeMulti)
    for name in ["call", "call_enter", "call_leave", "free_enter", "region"] {
      try object.program(name).setAutoload(name == "free_enter")
    }
    try object.map("sites").setMaxEntries(4096)
    try object.load()
    let sites = try object.map("sites").mapped(writable: true)
    #expect(sites.count == 4096)
    sites.withMutableElements(drip_site.self) { $0[7].allocs = 42 }
    let again = try object.map("sites").mapped()
    #expect(again.withElements(drip_site.self) { $0[7].allocs } == 42)
  }
}

import CProbes
import Libbpf

/// Which kinds of probes of its functions the running kernel allows: found by trying, with programs that do nothing.
enum FunctionProbes {
  static func available() -> Set<KernelHooks.Function.Method> {
    var result: Set<KernelHooks.Function.Method> = []
    for method in [KernelHooks.Function.Method.fentry, .kprobe] where (try? require(method)) != nil {
      result.insert(method)
    }
    return result
  }

  /// Throws what the kernel says where it does not allow them.
  static func require(_ method: KernelHooks.Function.Method) throws(LibbpfError) {
    let image = UnsafeRawBufferPointer(start: drip_doctor_object_pointer(), count: drip_doctor_object_size)
    let object = try BPFObject(image: image, name: "drip_try")
    let wanted = method == .fentry ? "try_fentry" : "try_kprobe"
    for name in object.programNames { try object.program(name).setAutoload(name == wanted) }
    try object.load()
    _ = try object.program(wanted).attach()
  }
}

import CLibbpf

/// An opened BPF object file: maps and programs, first open for settings, then loaded. Closing it (on
/// deinit) frees the maps and programs that nothing else holds. The C calls are `bpf_object__*`.
public struct BPFObject: ~Copyable {
  let raw: OpaquePointer

  /// Opens an ELF image in memory; nothing reaches the kernel yet.
  public init(image: UnsafeRawBufferPointer, name: String) throws(LibbpfError) {
    LibbpfLog.capture()
    raw = try pointerOrErrno("bpf_object__open_mem", name) {
      name.withCString { name in
        var options = bpf_object_open_opts()
        options.sz = MemoryLayout<bpf_object_open_opts>.size
        options.object_name = name
        return bpf_object__open_mem(image.baseAddress, image.count, &options)
      }
    }
  }

  deinit { bpf_object__close(raw) }

  /// Loads maps and the chosen programs into the kernel, after the verifier has passed them.
  public func load() throws(LibbpfError) {
    let raw = raw
    try countOrErrno("bpf_object__load", String(cString: bpf_object__name(raw))) { bpf_object__load(raw) }
  }

  /// The map of this name in the object.
  public func map(_ name: String) throws(LibbpfError) -> BPFMap {
    let object = raw
    return BPFMap(
      raw: try pointerOrErrno("bpf_object__find_map_by_name", name) {
        bpf_object__find_map_by_name(object, name)
      }, name: name)
  }

  /// The program of this name in the object.
  public func program(_ name: String) throws(LibbpfError) -> BPFProgram {
    let object = raw
    return BPFProgram(
      raw: try pointerOrErrno("bpf_object__find_program_by_name", name) {
        bpf_object__find_program_by_name(object, name)
      }, name: name)
  }

  /// The names of all programs in the object.
  public var programNames: [String] {
    var names: [String] = []
    var program = bpf_object__next_program(raw, nil)
    while let current = program {
      names.append(String(cString: bpf_program__name(current)))
      program = bpf_object__next_program(raw, current)
    }
    return names
  }

  /// Rewrites the initial value of the object's constants (".rodata"); only before `load`.
  public func withConstants(_ body: (UnsafeMutableRawBufferPointer) -> Void) throws(LibbpfError) {
    var map = bpf_object__next_map(raw, nil)
    while let current = map {
      if String(cString: bpf_map__name(current)).hasSuffix(".rodata") { break }
      map = bpf_object__next_map(raw, current)
    }
    guard let map else { throw LibbpfError(operation: "bpf_object__next_map", subject: ".rodata", code: 2) }
    var size = 0
    let current = UnsafeRawBufferPointer(start: bpf_map__initial_value(map, &size), count: size)
    // The pointer is const in libbpf 1.1: copy, edit, set.
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
    defer { copy.deallocate() }
    copy.copyMemory(from: current)
    body(copy)
    try countOrErrno("bpf_map__set_initial_value", ".rodata") {
      bpf_map__set_initial_value(map, copy.baseAddress, copy.count)
    }
  }

  /// The offset of a variable in ".rodata", from the object's own BTF, so that no layout is assumed.
  public func constantOffset(of variable: String) throws(LibbpfError) -> Int {
    let btf = bpf_object__btf(raw)
    // BTF_KIND_DATASEC; the macro and the enumerator of that name clash on import.
    let section = btf__find_by_name_kind(btf, ".rodata", 15)
    guard section >= 0, let type = btf__type_by_id(btf, UInt32(section)) else {
      throw LibbpfError(operation: "btf__find_by_name_kind", subject: ".rodata", code: 2)
    }
    let count = Int(type.pointee.info & 0xffff)
    let members = UnsafeRawPointer(type).advanced(by: MemoryLayout<btf_type>.size)
      .assumingMemoryBound(to: btf_var_secinfo.self)
    for index in 0..<count {
      let member = members[index]
      guard let entry = btf__type_by_id(btf, member.type),
        let name = btf__name_by_offset(btf, entry.pointee.name_off)
      else { continue }
      if String(cString: name) == variable { return Int(member.offset) }
    }
    throw LibbpfError(operation: "btf_var_secinfo", subject: variable, code: 2)
  }
}

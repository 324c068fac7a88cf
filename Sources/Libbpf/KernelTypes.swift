import CLibbpf

/// The running kernel's type information (BTF): what its functions and tracepoints take.
public struct KernelTypes: ~Copyable {
  /// A parameter as the kernel's sources declare it.
  public struct Parameter: Sendable, Hashable {
    /// Empty where the declaration has none.
    public var name: String
    /// The outermost name: "size_t", "gfp_t"; "kmem_cache *" for a pointer to a structure; "" for what has no name.
    public var type: String

    public init(name: String, type: String) {
      self.name = name
      self.type = type
    }
  }

  // Kinds of linux/btf.h; the macros and enumerators of these names clash on import.
  private static let pointer: UInt32 = 2
  private static let typedef: UInt32 = 8
  private static let qualifiers: Set<UInt32> = [9, 10, 11]
  private static let function: UInt32 = 12
  private static let prototype: UInt32 = 13

  private let raw: OpaquePointer

  /// Reads the kernel's own (/sys/kernel/btf/vmlinux).
  public init() throws(LibbpfError) {
    LibbpfLog.capture()
    raw = try pointerOrErrno("btf__load_vmlinux_btf", "vmlinux") { btf__load_vmlinux_btf() }
  }

  deinit { btf__free(raw) }

  /// The parameters of a function; nil if there is none of this name.
  public func parameters(ofFunction name: String) -> [Parameter]? {
    guard let id = find(name, kind: Self.function), let type = type(id) else { return nil }
    return parameters(prototype: type.pointee.type)
  }

  /// What a raw tracepoint's programs are given; nil if there is none of this name. The kernel declares each by a
  /// pointer to a function (`btf_trace_NAME`), whose first parameter is its own.
  public func parameters(ofTracepoint name: String) -> [Parameter]? {
    guard let id = find("btf_trace_" + name, kind: Self.typedef), let alias = type(id),
      let pointer = type(alias.pointee.type)
    else { return nil }
    return parameters(prototype: pointer.pointee.type).map { Array($0.dropFirst()) }
  }

  private func find(_ name: String, kind: UInt32) -> UInt32? {
    let id = btf__find_by_name_kind(raw, name, kind)
    return id > 0 ? UInt32(id) : nil
  }

  private func type(_ id: UInt32) -> UnsafePointer<btf_type>? { btf__type_by_id(raw, id) }

  private func kind(_ type: UnsafePointer<btf_type>) -> UInt32 { (type.pointee.info >> 24) & 0x1f }

  private func name(_ offset: UInt32) -> String {
    btf__name_by_offset(raw, offset).map { String(cString: $0) } ?? ""
  }

  private func parameters(prototype id: UInt32) -> [Parameter]? {
    guard let type = type(id), kind(type) == Self.prototype else { return nil }
    let count = Int(type.pointee.info & 0xffff)
    // The parameters stand behind the type.
    let list = UnsafeRawPointer(type).advanced(by: MemoryLayout<btf_type>.size)
      .assumingMemoryBound(to: btf_param.self)
    return (0..<count).map { Parameter(name: name(list[$0].name_off), type: describe(list[$0].type)) }
  }

  /// Bounded, for type information of a broken kernel may go in circles.
  private func describe(_ id: UInt32) -> String {
    var id = id
    var suffix = ""
    for _ in 0..<8 {
      guard id != 0, let type = type(id) else { return "void" + suffix }
      let kind = kind(type)
      if Self.qualifiers.contains(kind) {
        id = type.pointee.type
      } else if kind == Self.pointer {
        suffix = suffix.isEmpty ? " *" : suffix + "*"
        id = type.pointee.type
      } else {
        return name(type.pointee.name_off) + suffix
      }
    }
    return ""
  }
}

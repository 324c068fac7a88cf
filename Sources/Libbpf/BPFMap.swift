import CLibbpf
import Glibc

/// A map of an open object. Valid no longer than its object.
public struct BPFMap: ~Copyable {
  let raw: OpaquePointer
  let name: String

  /// Sets the number of elements; only before the load.
  public func setMaxEntries(_ count: Int) throws(LibbpfError) {
    let raw = raw
    try countOrErrno("bpf_map__set_max_entries", name) { bpf_map__set_max_entries(raw, UInt32(count)) }
  }

  public var maxEntries: Int { Int(bpf_map__max_entries(raw)) }
  public var valueSize: Int { Int(bpf_map__value_size(raw)) }

  /// Maps the elements of a BPF_F_MMAPABLE array into memory, for as long as the result lives.
  public func mapped(writable: Bool = false) throws(LibbpfError) -> MappedArray {
    let descriptor = bpf_map__fd(raw)
    let stride = (valueSize + 7) & ~7
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let length = (stride * maxEntries + page - 1) / page * page
    let memory = mmap(
      nil, length, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else {
      throw LibbpfError(operation: "mmap", subject: name, code: errno)
    }
    return MappedArray(memory: memory, length: length, stride: stride, count: maxEntries)
  }

  /// Sets one element of a hash map, whether or not it is there.
  public func set<Key: BitwiseCopyable, Value: BitwiseCopyable>(key: Key, value: Value) throws(LibbpfError) {
    let descriptor = bpf_map__fd(raw)
    var key = key
    var value = value
    try countOrErrno("bpf_map_update_elem", name) {
      bpf_map_update_elem(descriptor, &key, &value, UInt64(BPF_ANY))
    }
  }

  /// Removes one element of a hash map, if it is there.
  public func remove<Key: BitwiseCopyable>(key: Key) {
    var key = key
    _ = bpf_map_delete_elem(bpf_map__fd(raw), &key)
  }

  /// All elements of a hash map, as raw keys and values, a batch a system call (BPF_MAP_LOOKUP_BATCH,
  /// Linux 5.6). Elements that change meanwhile may be seen or not.
  public func forEachEntry(keySize: Int, _ body: (UnsafeRawPointer, UnsafeRawPointer) -> Void)
    throws(LibbpfError)
  {
    let descriptor = bpf_map__fd(raw)
    let batchSize = 4096
    let keys = UnsafeMutableRawPointer.allocate(byteCount: batchSize * keySize, alignment: 8)
    let values = UnsafeMutableRawPointer.allocate(byteCount: batchSize * valueSize, alignment: 8)
    // The position is opaque: a u32 for hash maps, room for more.
    let position = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8)
    defer {
      keys.deallocate()
      values.deallocate()
      position.deallocate()
    }
    var isFirst = true
    while true {
      var count = UInt32(batchSize)
      let result = bpf_map_lookup_batch(
        descriptor, isFirst ? nil : position, position, keys, values, &count, nil)
      guard result == 0 || result == -ENOENT else {
        throw LibbpfError(operation: "bpf_map_lookup_batch", subject: name, code: -result)
      }
      for index in 0..<Int(count) {
        body(keys.advanced(by: index * keySize), values.advanced(by: index * valueSize))
      }
      if result == -ENOENT { return }
      isFirst = false
    }
  }
}

/// The elements of an array map, shared with the kernel; unmapped on deinit. The kernel writes while we
/// read: every element is a moment's view.
public struct MappedArray: ~Copyable {
  private let memory: UnsafeMutableRawPointer
  private let length: Int
  /// Bytes from one element to the next: the value size rounded up to 8, as the kernel does.
  public let stride: Int
  public let count: Int

  init(memory: UnsafeMutableRawPointer, length: Int, stride: Int, count: Int) {
    self.memory = memory
    self.length = length
    self.stride = stride
    self.count = count
  }

  deinit { munmap(memory, length) }

  /// Bytes of kernel memory behind the elements.
  public var byteCount: Int { length }

  /// Reads through a typed pointer to the first element. `Element` must be the map's value type.
  public borrowing func withElements<Element, Result, Failure: Error>(
    _ type: Element.Type, _ body: (UnsafePointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(MemoryLayout<Element>.stride == stride, "the map holds another type")
    return try body(UnsafePointer(memory.assumingMemoryBound(to: Element.self)))
  }

  /// Writes through a typed pointer to the first element; the array must have been mapped writable.
  public borrowing func withMutableElements<Element, Result, Failure: Error>(
    _ type: Element.Type, _ body: (UnsafeMutablePointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(MemoryLayout<Element>.stride == stride, "the map holds another type")
    return try body(memory.assumingMemoryBound(to: Element.self))
  }

  /// Reads through a raw pointer to the first element, for value types whose arrays Swift would import as
  /// long tuples. The body must stay below `byteCount`.
  public borrowing func withBytes<Result>(_ body: (UnsafeRawPointer) -> Result) -> Result {
    body(UnsafeRawPointer(memory))
  }

  /// Writes through a raw pointer to the first element; the array must have been mapped writable.
  public borrowing func withMutableBytes<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
    body(memory)
  }
}

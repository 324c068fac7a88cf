import CLibbpf
import Glibc

/// The reading end of a BPF_MAP_TYPE_RINGBUF map (Linux 5.8); freed on deinit.
public struct BPFRing: ~Copyable {
  private final class Sink {
    var body: ((UnsafeRawBufferPointer) -> Void)?
  }

  private let raw: OpaquePointer
  private let sink: Sink
  private let name: String

  init(map: borrowing BPFMap) throws(LibbpfError) {
    let sink = Sink()
    let descriptor = bpf_map__fd(map.raw)
    let context = Unmanaged.passUnretained(sink).toOpaque()
    raw = try pointerOrErrno("ring_buffer__new", map.name) {
      ring_buffer__new(
        descriptor,
        { context, data, size in
          guard let context, let data else { return 0 }
          let sink = Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
          sink.body?(UnsafeRawBufferPointer(start: data, count: size))
          return 0
        }, context, nil)
    }
    self.sink = sink
    name = map.name
  }

  deinit { ring_buffer__free(raw) }

  /// Hands all records that are there to the body, in the order in which they were reserved.
  public borrowing func consume(_ body: (UnsafeRawBufferPointer) -> Void) throws(LibbpfError) {
    let (raw, sink, name) = (raw, sink, name)
    var failure: LibbpfError?
    withoutActuallyEscaping(body) { body in
      sink.body = body
      defer { sink.body = nil }
      do throws(LibbpfError) {
        try countOrErrno("ring_buffer__consume", name) { ring_buffer__consume(raw) }
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}

extension BPFMap {
  /// The reading end of a ring buffer, once the object is loaded.
  public func ring() throws(LibbpfError) -> BPFRing { try BPFRing(map: self) }
}

import CLibbpf
import Glibc

/// The reading end of a BPF_MAP_TYPE_RINGBUF map (Linux 5.8); freed on deinit.
public struct BPFRing: ~Copyable {
  private final class Sink {
    var body: ((UnsafeRawBufferPointer) -> Void)?
    var left = Int.max
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
          sink.left -= 1
          // A negative result ends the reading; this record counts as read all the same.
          return sink.left > 0 ? 0 : -ECANCELED
        }, context, nil)
    }
    self.sink = sink
    name = map.name
  }

  deinit { ring_buffer__free(raw) }

  /// Readable while there are records; for poll(2), and owned by the ring.
  public var descriptor: CInt { ring_buffer__epoll_fd(raw) }

  /// Hands all records that are there to the body, in the order in which they were reserved; no more than `limit`,
  /// for new ones may come as fast as they are taken.
  public borrowing func consume(
    limit: Int = .max, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(LibbpfError) {
    let (raw, sink, name) = (raw, sink, name)
    var failure: LibbpfError?
    withoutActuallyEscaping(body) { body in
      sink.body = body
      sink.left = limit
      defer { sink.body = nil }
      do throws(LibbpfError) {
        try countOrErrno("ring_buffer__consume", name) {
          let result = ring_buffer__consume(raw)
          return result == -ECANCELED ? 0 : result
        }
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

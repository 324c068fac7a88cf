import CLibbpf
import Glibc

/// A live attachment; it detaches on deinit.
public struct BPFLink: ~Copyable, @unchecked Sendable {
  // Unchecked: the pointer has one owner, and giving it back is safe on any thread.
  private enum Handle {
    case libbpf(OpaquePointer)
    case descriptor(CInt)
  }
  private let handle: Handle

  init(raw: OpaquePointer) { handle = .libbpf(raw) }
  init(descriptor: CInt) { handle = .descriptor(descriptor) }

  deinit {
    switch handle {
    case .libbpf(let raw): bpf_link__destroy(raw)
    case .descriptor(let fd): close(fd)
    }
  }
}

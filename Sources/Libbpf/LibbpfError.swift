import CLibbpf
import Glibc

/// A failed call into libbpf or the kernel: which one, on what, why, and what libbpf had to say.
public struct LibbpfError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The C function or system call, for example "bpf_object__load".
  public let operation: String
  /// What it was called on: an object, program, map or file.
  public let subject: String
  /// A positive errno, or one of libbpf's own codes from 4000.
  public let code: CInt
  /// What libbpf logged meanwhile; the verifier's words are in here.
  public let log: [String]

  public init(operation: String, subject: String, code: CInt, log: [String] = []) {
    self.operation = operation
    self.subject = subject
    self.code = code
    self.log = log
  }

  /// The code in words.
  public var reason: String {
    var text = [CChar](repeating: 0, count: 128)
    let written = text.withUnsafeMutableBufferPointer { libbpf_strerror(code, $0.baseAddress, $0.count) }
    guard written == 0 else { return "error \(code)" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// What the kernel's verifier found wrong with a program: the line before its last, which counts instructions. nil
  /// if it said nothing.
  public var verdict: String? {
    guard let end = log.lastIndex(where: { $0.hasPrefix("processed ") }) else { return nil }
    return log[..<end].last { !$0.isEmpty && !$0.hasPrefix("mark_precise") }
  }

  /// What the user can do about it, where that is known.
  public var advice: String? {
    // The kernel says EACCES for a program that its verifier refuses, too; privileges would not help.
    if verdict != nil { return nil }
    return switch code {
    case EPERM, EACCES:
      "drip needs root, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; a locked-down kernel may refuse all the same"
    case ENOMEM: "the kernel could not get the memory; try a smaller --max-live"
    case E2BIG: "a table is larger than the kernel allows; try a smaller --max-live"
    case ESRCH: "the process has gone"
    default: nil
    }
  }

  public var description: String {
    var text = "\(operation)(\(subject)): \(reason)"
    if let advice { text += "; \(advice)" }
    if let verdict {
      text += "\n  the kernel's verifier: \(verdict)"
    } else if let last = log.last(where: { !$0.isEmpty }) {
      text += "\n  libbpf: \(last)"
    }
    return text
  }
}

/// Calls `body`, which must return a pointer or set `errno`. Never inlined, so that no reference counting
/// can come between the call and the reading of `errno`.
@inline(never)
func pointerOrErrno(
  _ operation: String, _ subject: String, _ body: () -> OpaquePointer?
) throws(LibbpfError) -> OpaquePointer {
  if let pointer = body() { return pointer }
  let code = errno
  throw LibbpfError(operation: operation, subject: subject, code: code, log: LibbpfLog.take())
}

/// Calls `body`, which must return `-errno` on failure, as libbpf 1.x and the shims do.
@discardableResult
@inline(never)
func countOrErrno(
  _ operation: String, _ subject: String, _ body: () -> CInt
) throws(LibbpfError) -> CInt {
  let result = body()
  guard result >= 0 else {
    throw LibbpfError(operation: operation, subject: subject, code: -result, log: LibbpfLog.take())
  }
  return result
}

internal import CSymbolShims
internal import Glibc

/// The perf map of one process: /tmp/perf-PID.map as the process itself sees it, with the number that it has where it
/// lives. Nothing is opened before `name` is first asked for.
final class PerfMapFile {
  /// Of a map only so much is read, in bytes.
  static let sizeLimit = 64 << 20

  private let target: TargetFiles
  private var owner: PerfMapOwner?
  private var map = PerfMap()
  private var identity: SymbolFile.Identity?
  /// Bytes read so far, and the last of them: a file that was rewritten is not what they were.
  private var consumed = 0
  private var tail: [UInt8] = []
  private var mayLook = true
  private var refusal: String?

  init(target: TargetFiles) {
    self.target = target
    owner = PerfMapOwner(status: target.status())
  }

  /// The next question looks whether the map has grown; until then what was read is good enough.
  func lookAgain() { mayLook = true }

  /// The name of the generated function at an address, in safe characters.
  func name(at address: UInt64) -> String? {
    if mayLook {
      mayLook = false
      refresh()
    }
    return map.name(at: address).map { SafeText.clean($0) }
  }

  /// What a reader of the names should know; nil if all is well or there is no map.
  var note: String? {
    guard let path = owner?.path else { return nil }
    if let refusal { return "\(path) is not used: \(refusal)" }
    if consumed >= Self.sizeLimit { return "\(path) is larger than 64 MiB: only its beginning is used" }
    return map.badLines > 0 ? "\(path): \(map.badLines) lines make no sense or found no room" : nil
  }

  private func refresh() {
    // A process may have changed its user since; one that has gone has not.
    if let now = PerfMapOwner(status: target.status()) { owner = now }
    guard let owner else { return }
    refusal = nil
    do throws(OpenFailure) {
      try take(target.openPerfMap(owner.path), owner)
    } catch {
      refusal = error.isMissing ? nil : error.reason
    }
  }

  private func take(_ file: borrowing OpenFile, _ owner: PerfMapOwner) throws(OpenFailure) {
    var status = stat()
    guard fstat(file.descriptor, &status) == 0 else { throw OpenFailure(errno: errno) }
    guard owner.mayHaveWritten(user: status.st_uid) else {
      throw OpenFailure("it belongs to user \(status.st_uid), not to the process's")
    }
    let now = try SymbolFile.Identity(file)
    if now != identity || Int(status.st_size) < consumed || !isTail(of: file) {
      map = PerfMap()
      consumed = 0
      tail = []
    }
    identity = now
    read(file)
  }

  private func isTail(of file: borrowing OpenFile) -> Bool {
    var bytes = [UInt8](repeating: 0, count: tail.count)
    guard !bytes.isEmpty else { return true }
    return pread(file.descriptor, &bytes, bytes.count, consumed - bytes.count) == bytes.count && bytes == tail
  }

  private func read(_ file: borrowing OpenFile) {
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while consumed + text.count < Self.sizeLimit {
      let wanted = min(chunk.count, Self.sizeLimit - consumed - text.count)
      let count = pread(file.descriptor, &chunk, wanted, consumed + text.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      text += chunk[..<count]
    }
    guard !text.isEmpty else { return }
    map.append(text)
    consumed += text.count
    tail = Array((tail + text.suffix(128)).suffix(128))
  }
}

/// Under which name a process writes its perf map, and as whom; from /proc/PID/status (proc(5)).
struct PerfMapOwner: Hashable {
  /// Its number in its own PID namespace.
  var number: Int32
  /// Its real, effective, saved and file-system user.
  var users: Set<UInt32>

  var path: String { "/tmp/perf-\(number).map" }

  /// Nobody else may choose the names that are shown for it; root may do anything anyway.
  func mayHaveWritten(user: UInt32) -> Bool { user == 0 || users.contains(user) }

  /// Nil if the text is not a process's status.
  init?(status: [UInt8]) {
    var number: Int32?
    var users: Set<UInt32> = []
    for line in status.split(separator: UInt8(ascii: "\n")) {
      let words = line.split { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") }
      let numbers = words.dropFirst().compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
      switch words.first.map({ String(decoding: $0, as: UTF8.self) }) {
      // The last one is that of the innermost namespace. Kernels without namespaces have no such line.
      case "Pid:": number = number ?? numbers.first.flatMap(Int32.init(exactly:))
      case "NSpid:": number = numbers.last.flatMap(Int32.init(exactly:)) ?? number
      case "Uid:": users = Set(numbers)
      default: break
      }
    }
    guard let number, number > 0, !users.isEmpty else { return nil }
    self.number = number
    self.users = users
  }
}

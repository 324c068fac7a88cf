import Glibc
import Testing

/// A child process, killed and collected when it goes out of sight. Not Foundation's Process, which collects its
/// children itself: there would be no zombies.
final class Child: @unchecked Sendable {
  let pid: Int32
  private var isCollected = false

  init(_ path: String, _ arguments: [String] = []) throws {
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for pointer in argv { free(pointer) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, path, nil, nil, &argv, environ)
    guard code == 0 else { throw Failure(code: code) }
    self.pid = pid
  }

  deinit {
    guard !isCollected else { return }
    kill(pid, SIGKILL)
    collect()
  }

  func collect() {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    isCollected = true
  }

  /// Waits until the condition holds, ten seconds at most.
  func waits(for condition: () -> Bool) -> Bool {
    for _ in 0..<1000 {
      if condition() { return true }
      usleep(10_000)
    }
    return false
  }

  struct Failure: Error { let code: Int32 }
}

/// A folder of its own under /tmp, removed when it goes out of sight.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/processes-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Child.Failure(code: errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    var names: [String] = []
    if let folder = opendir(path) {
      while let entry = readdir(folder) {
        names.append(
          withUnsafePointer(to: &entry.pointee.d_name) {
            String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
          })
      }
      closedir(folder)
    }
    for name in names where name != "." && name != ".." { unlink(path + "/" + name) }
    rmdir(path)
  }

  /// Writes an executable file.
  func write(_ bytes: [UInt8], as name: String) throws -> String {
    let file = path + "/" + name
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
    guard descriptor >= 0 else { throw Child.Failure(code: errno) }
    defer { close(descriptor) }
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else { throw Child.Failure(code: errno) }
    return file
  }
}

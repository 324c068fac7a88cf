/// Words that the kernel keeps for a process and gives back later: a program may keep a pointer nowhere else.
public enum KernelHeldWords {
  /// The data of all that epoll instances watch, and the values of POSIX timers (proc(5): fdinfo, timers). `place` is
  /// the number of the epoll instance's descriptor, or the timer's.
  public static func read(pid: Int32) -> [(word: UInt64, place: UInt64)] {
    var result: [(word: UInt64, place: UInt64)] = []
    for descriptor in ProcFile.numbers(in: "/proc/\(pid)/fd")
    where (try? ProcFile.link("/proc/\(pid)/fd/\(descriptor)")) == "anon_inode:[eventpoll]" {
      guard let text = try? ProcFile.read("/proc/\(pid)/fdinfo/\(descriptor)") else { continue }
      for word in epollData(text) { result.append((word, UInt64(descriptor))) }
    }
    if let text = try? ProcFile.read("/proc/\(pid)/timers") {
      for word in timerValues(text) { result.append((word, 0)) }
    }
    return result
  }

  /// Lines like "tfd:        5 events:       19 data: 7f0012345678  pos:0 ino:61 sdev:7".
  static func epollData(_ text: [UInt8]) -> [UInt64] {
    lines(text).compactMap { words in
      guard words.first == "tfd:", let at = words.firstIndex(of: "data:"), at + 1 < words.count else {
        return nil
      }
      return UInt64(words[at + 1], radix: 16)
    }
  }

  /// Lines like "signal: 60/00007f0012345678".
  static func timerValues(_ text: [UInt8]) -> [UInt64] {
    lines(text).compactMap { words in
      guard words.first == "signal:", words.count > 1, let value = words[1].split(separator: "/").last else {
        return nil
      }
      return UInt64(value, radix: 16)
    }
  }

  private static func lines(_ text: [UInt8]) -> [[Substring]] {
    String(decoding: text, as: UTF8.self).split(separator: "\n").map { $0.split(separator: " ") }
  }
}

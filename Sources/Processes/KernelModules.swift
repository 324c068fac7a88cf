/// The kernel's modules.
public enum KernelModules {
  /// A text that changes when modules come or go: names, sizes in bytes and addresses of /proc/modules (how often each is
  /// used changes all the time), a line each. Empty where the kernel has none.
  public static func read() -> String {
    let text = (try? ProcFile.text("/proc/modules")) ?? ""
    return text.split(separator: "\n").map { line in
      let words = line.split(separator: " ")
      return words.count > 5 ? "\(words[0]) \(words[1]) \(words[5])" : String(line)
    }.joined(separator: "\n")
  }
}

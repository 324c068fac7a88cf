/// In which namespaces (namespaces(7)) a process differs from drip. What cannot be read counts as different: then
/// nothing may be concluded from its paths and numbers.
public struct Namespaces: Sendable, Hashable {
  /// It sees other mounts.
  public var isOtherMount: Bool
  /// It has another number where it lives.
  public var isOtherPID: Bool

  public init(isOtherMount: Bool, isOtherPID: Bool) {
    self.isOtherMount = isOtherMount
    self.isOtherPID = isOtherPID
  }

  static func compare(pid: Int32) -> Namespaces {
    func isOther(_ name: String) -> Bool {
      guard let theirs = try? ProcFile.link("/proc/\(pid)/ns/\(name)") else { return true }
      return theirs != (try? ProcFile.link("/proc/self/ns/\(name)"))
    }
    return Namespaces(isOtherMount: isOther("mnt"), isOtherPID: isOther("pid"))
  }
}

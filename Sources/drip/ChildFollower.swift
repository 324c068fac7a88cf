import Processes

/// What a session does about children and executed programs that a follower tells of: each is looked at while it
/// stands still, and counted from its first instruction on.
struct ChildFollower {
  private struct Loading {
    var steps = 0
    var hasThreadPointer = false
  }

  private static let setTIDAddress: Int64 = 218
  /// System calls from the start of a program to the end of loading its libraries: some hundred, as a rule.
  private static let mostSteps = 10_000

  let follower: Follower
  private var loading: [Int32: Loading] = [:]

  init(_ pids: [Int32]) throws(ProcessError) { follower = try Follower(pids) }

  /// Handles what has happened. `forget` is told of a process whose old program is gone; `add` traces one and says
  /// whether it could; a message tells why not.
  mutating func handle(
    forget: (Int32) async throws -> Void, add: (Int32) async -> String?, note: (String) -> Void
  ) async throws {
    for event in follower.events() {
      let pid = event.pid
      switch event {
      case .forked(let parent, _):
        if let why = await add(pid) { note("child \(pid) of \(parent) is not watched: \(why)") }
        follower.resume(pid, .run)
      case .execed:
        try await forget(pid)
        loading[pid] = Loading()
        // A static program, or one that brings its allocator, is complete now.
        await advance(pid, isComplete: false, add, note)
      case .loading(_, let syscall):
        loading[pid, default: Loading()].steps += 1
        // The dynamic linker sets the thread pointer up when it has mapped everything, and runs no foreign code
        // before.
        let isLast = syscall == Self.setTIDAddress
        if isLast { loading[pid]?.hasThreadPointer = true }
        if isLast || loading[pid]?.hasThreadPointer == true {
          await advance(pid, isComplete: true, add, note)
        } else if (loading[pid]?.steps ?? 0) > Self.mostSteps {
          loading[pid] = nil
          note("pid \(pid) executed a program that did not finish loading; it is not watched")
          follower.resume(pid, .run)
        } else {
          follower.resume(pid, .toSyscall)
        }
      }
    }
  }

  private mutating func advance(
    _ pid: Int32, isComplete: Bool, _ add: (Int32) async -> String?, _ note: (String) -> Void
  ) async {
    let why = await add(pid)
    if why == nil || (loading[pid]?.steps ?? 0) > Self.mostSteps {
      if let why { note("pid \(pid) executed a program that is not watched: \(why)") }
      loading[pid] = nil
      follower.resume(pid, .run)
    } else if isComplete, (loading[pid]?.steps ?? 0) > 400 {
      // Everything is mapped, and there is no allocator: a program like Go's.
      note("pid \(pid) executed a program that is not watched: \(why ?? "")")
      loading[pid] = nil
      follower.resume(pid, .run)
    } else {
      follower.resume(pid, .toSyscall)
    }
  }
}

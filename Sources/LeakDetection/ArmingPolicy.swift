public import Profile

/// Which callers of the kernel's allocators deserve a walk of their stacks: those that keep growing. Pure; bounded by the
/// number of sites. A caller whose objects come and go returns to its floor, and begins anew; what leaks leaves it for good.
public struct ArmingPolicy: Sendable {
  private struct Course: Sendable {
    var last: UInt64
    /// The least that was outstanding since the rises are counted.
    var floor: UInt64
    /// Looks at which more was outstanding than at the one before, since it last was no more than the floor.
    var rises = 0
  }

  /// A caller is armed when it has risen so often and by so many objects or bytes.
  private static let rises = 3
  private static let objects: UInt64 = 16
  private static let bytes: UInt64 = 4096
  private var courses: [UInt32: Course] = [:]

  public init() {}

  /// Takes a look; returns the sites to arm because of it. A site may be returned again.
  public mutating func add(_ snapshot: Snapshot) -> [UInt32] {
    var armed: [UInt32] = []
    for site in snapshot.sites {
      let now = site.outstandingCount
      guard var course = courses[site.id] else {
        // What is there at the first look was born since the start, too.
        courses[site.id] = Course(last: now, floor: now, rises: now > 0 ? 1 : 0)
        continue
      }
      if now > course.last { course.rises += 1 }
      if now < course.floor || now == course.floor && now < course.last {
        course.floor = now
        course.rises = 0
      }
      course.last = now
      courses[site.id] = course
      if course.rises >= Self.rises, now >= Self.objects || site.outstandingBytes >= Self.bytes {
        armed.append(site.id)
      }
    }
    return armed
  }
}

import Testing

@testable import Processes

@Suite("process selection")
struct ProcessSelectionTests {
  @Test(
    "a control group may be told by its path, or by its folder under any of the usual mounts",
    arguments: [
      ("/web", true), ("web/", true), ("/", true), ("/sys/fs/cgroup/web", true), ("/we", false),
      ("/sys/fs/cgroup/unified/web", true), ("/sys/fs/cgroup/cpu,cpuacct/jobs", true),
      ("/sys/fs/cgroup/systemd/user.slice", true), ("/sys/fs/cgroup/memory/jobs", false), ("/web/sub", true),
      ("/web/other", false),
    ])
  func group(name: String, isMember: Bool) {
    let text = "4:cpu,cpuacct:/jobs/7\n1:name=systemd:/user.slice/session-1.scope\n0::/web/sub\n"
    #expect(ProcessSelection.isIn(name, text) == isMember)
  }

  @Test("command names: cut as the kernel cuts them, with wildcards")
  func names() {
    #expect(ProcessSelection.matches("redis-server", "redis-server"))
    #expect(ProcessSelection.matches("a-very-long-nam", "a-very-long-name-indeed"))
    #expect(ProcessSelection.matches("postgres", "post*s"))
    #expect(!ProcessSelection.matches("postgres", "post"))
    #expect(!ProcessSelection.matches("postgre", "post*s"))
  }
}

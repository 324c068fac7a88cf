import Testing

/// The harness itself: no failure in a guest may come out as success.
@Suite("guest harness", Guest.areAvailable, .serialized)
struct HarnessTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: String
    let status: Int32
    var limitSeconds = 600
  }

  @Test(
    "a guest's end is told for what it is",
    arguments: [
      Case(testDescription: "success", script: "exit 0", status: 0),
      Case(testDescription: "a status of its own", script: "exit 7", status: 7),
      Case(testDescription: "a panic", script: "echo c > /proc/sysrq-trigger", status: 125),
      // Whether it hangs in its boot or after it, on a busy machine, is the same to the harness.
      Case(testDescription: "a guest that hangs", script: "sleep 100000", status: 124, limitSeconds: 10),
      Case(
        testDescription: "a line on the console that the exit device contradicts",
        script: "echo '<0>GUEST-STATUS 0' > /dev/kmsg; printf '\\5' | hostport 0xf4",
        status: 126),
    ])
  func ends(_ ending: Case) throws {
    #expect(
      try Guest.status(ofChecks: ending.script, limitSeconds: ending.limitSeconds) == ending.status)
  }
}

import Profile
import Testing

@testable import DetectionLab

@Suite("simulated services")
struct ServiceTests {
  @Test("x") func x() {}
}

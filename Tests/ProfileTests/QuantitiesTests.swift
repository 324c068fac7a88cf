import Profile
import Testing

@Suite("quantities")
struct QuantitiesTests {
  @Test(
    "bytes",
    arguments: [
      (UInt64(0), "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1_048_575, "1.00 MiB"),
      (10 << 20, "10.0 MiB"),
      (1536 << 20, "1.50 GiB"), (UInt64.max, "16.0 EiB"),
    ])
  func bytes(value: UInt64, text: String) { #expect(Quantities.bytes(value) == text) }

  @Test(
    "ages",
    arguments: [
      (0.0, "0 ms"), (0.85, "850 ms"), (9.81, "9.8 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"),
      (273_600, "3 d 4 h"),
      (-1, "?"), (Double.infinity, "?"),
    ])
  func ages(seconds: Double, text: String) { #expect(Quantities.age(seconds) == text) }

  @Test("rates, counts and shares")
  func others() {
    #expect(Quantities.rate(0.2) == "0 B/s")
    #expect(Quantities.rate(-2048) == "-2.00 KiB/s")
    #expect(Quantities.rate(.nan) == "?")
    #expect(Quantities.count(1_234_567) == "1,234,567")
    #expect(Quantities.count(999) == "999")
    #expect(Quantities.percent(1, of: 3) == "33.3 %")
    #expect(Quantities.percent(1, of: 0) == "-")
  }
}

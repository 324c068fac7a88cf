import CProbes
import Testing

@testable import Capture

@Suite("table layout")
struct TableLayoutTests {
  @Test("the live table is half full at its capacity, and a power of two")
  func buckets() {
    let layout = TableLayout(options: CaptureOptions(maxLive: 1_000_000), cpus: 2)
    #expect(layout.buckets & (layout.buckets - 1) == 0)
    #expect(layout.buckets * 6 >= 2 * 1_000_000)
    #expect(layout.buckets * 6 < 4 * 2 * 1_000_000)
  }

  @Test("the smallest options still make valid tables")
  func smallest() {
    let layout = TableLayout(options: CaptureOptions(maxLive: 1, maxSites: 1), cpus: 0)
    #expect(layout.buckets >= 64)
    #expect(layout.sites >= 64)
    #expect(layout.scratch >= 4)
    #expect(layout.bytes > 0)
  }

  @Test("the memory of the default tables is what docs/architecture.md says")
  func defaultBytes() {
    let layout = TableLayout(options: CaptureOptions(), cpus: 2)
    #expect(layout.bytes < 100 << 20)
    #expect(layout.bytes > layout.buckets * 128)
  }

  @Test("room for the unwind rows, with slack for dlopen")
  func unwindRows() {
    let layout = TableLayout(options: CaptureOptions(), cpus: 2, unwindRows: 1_000_000, unwindPages: 100)
    #expect(layout.rowChunks * 1024 > 1_250_000)
    #expect(layout.pages > 16_384)
  }
}

@Suite("ABI")
struct ABITests {
  @Test("layouts that Swift reads by offset")
  func layouts() {
    #expect(MemoryLayout<drip_site>.size == 64)
    #expect(MemoryLayout<drip_site>.offset(of: \.allocs) == 8)
    #expect(MemoryLayout<drip_site>.offset(of: \.end) == 48)
    #expect(DRIP_BUCKET_BYTES == 128)
    #expect(MemoryLayout<drip_mapping>.size == 32)
    #expect(MemoryLayout<drip_object>.size == 16)
    #expect(DRIP_PROCESS_MAPPINGS_AT == 16)
  }
}

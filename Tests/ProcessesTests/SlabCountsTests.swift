import Testing

@testable import Processes

@Suite("slab counts")
struct SlabCountsTests {
  private static let text = """
    slabinfo - version: 2.1
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit>
    dentry            120145 120162    192   21    1 : tunables    0    0    0 : slabdata   5722   5722      0
    kmalloc-512         1400   1472    512   16    2 : tunables    0    0    0 : slabdata     92     92      0
    broken line
    no-numbers           x      y      z
    """

  @Test("caches with their counts; lines that are none are passed over")
  func parse() throws {
    let counts = SlabCounts(slabinfo: Self.text) { name in
      name == "dentry" ? .init(aliases: ["names_of_files"], isReclaimable: true) : .init(isReclaimable: false)
    }
    #expect(counts.caches.count == 2)
    let dentry = try #require(counts[name: "dentry"])
    #expect((dentry.active, dentry.total, dentry.objectBytes) == (120_145, 120_162, 192))
    #expect(dentry.isReclaimable == true)
    #expect(counts[name: "names_of_files"] == dentry)
    #expect(counts[name: "kmalloc-512"]?.isReclaimable == false)
    #expect(counts[name: "nothing"] == nil)
  }

  @Test("of the running kernel")
  func live() throws {
    guard let counts = SlabCounts.read() else {
      // Not root, or a kernel without SLUB's list.
      return
    }
    #expect(counts.caches.count > 50)
    #expect(counts[name: "dentry"]?.isReclaimable == true)
    #expect(counts.caches.allSatisfy { $0.active <= $0.total })
  }

  @Test("names with a star")
  func patterns() {
    #expect(NamePattern.matches("kmalloc-512", "kmalloc-*"))
    #expect(NamePattern.matches("kmalloc-512", "*512"))
    #expect(!NamePattern.matches("kmalloc-512", "kmalloc"))
    #expect(NamePattern.matches("", "*"))
  }
}

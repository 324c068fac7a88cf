import Profile
import Testing

@testable import PointerScan

/// A few objects of 64 bytes, and words laid into them and beside them.
private struct Memory {
  var words: [UInt64: UInt64] = [:]
  var objects: [LiveObject] = []
  static let base: UInt64 = 0x7f00_1234_0000

  static func object(_ number: Int) -> UInt64 { base + UInt64(number) * 128 }

  init(objects count: Int, size: UInt64 = 64) {
    objects = (0..<count).map {
      LiveObject(address: Self.object($0), size: size, birth: UInt32($0), site: UInt32($0 % 3))
    }
  }

  /// `from` nil: in the data of a program.
  mutating func point(from: Int?, at offset: UInt64 = 0, to address: UInt64) {
    words[(from.map(Self.object) ?? 0x5555_0000_0000) + offset] = address
  }

  func search(source: PointerSource = .data, chosen: [Int]? = nil) -> PointerSearch {
    var search = PointerSearch(ObjectIndex(objects), chosen: chosen)
    for (address, word) in words.sorted(by: { $0.key < $1.key }) {
      search.search([word].span, at: address, source: source)
    }
    return search
  }
}

@Suite("the search for pointers")
struct PointerSearchTests {
  private func isReached(_ fate: Marking.Fate) -> Bool {
    if case .reachable = fate { true } else { false }
  }

  @Test("what nothing points to is unreachable, what data points to is not")
  func direct() {
    var memory = Memory(objects: 3)
    memory.point(from: nil, to: Memory.object(1))
    let marking = Marking(memory.search())
    #expect(marking.fate(of: 0) == .unreachable)
    #expect(
      marking.fate(of: 1)
        == .reachable(Marking.Holder(object: nil, source: .data, place: 0x5555_0000_0000)))
    #expect(marking.fate(of: 2) == .unreachable)
  }

  @Test(
    "a pointer counts from the first byte to the last",
    arguments: [
      (0, true), (1, true), (63, true), (64, false), (-1, false), (-8, false),
    ])
  func boundaries(offset: Int, counts: Bool) {
    var memory = Memory(objects: 3)
    memory.point(from: nil, to: Memory.object(1) &+ UInt64(bitPattern: Int64(offset)))
    #expect(isReached(Marking(memory.search()).fate(of: 1)) == counts)
    #expect(isReached(Marking(memory.search(chosen: [1])).fate(of: 1)) == counts)
  }

  @Test("an object of no bytes can be pointed to at its address only")
  func empty() {
    var memory = Memory(objects: 2, size: 0)
    memory.point(from: nil, to: Memory.object(0))
    memory.point(from: nil, at: 8, to: Memory.object(1) + 1)
    let marking = Marking(memory.search())
    #expect(isReached(marking.fate(of: 0)))
    #expect(marking.fate(of: 1) == .unreachable)
  }

  @Test("tags in the top 16 bits do not hide a pointer")
  func tags() {
    var memory = Memory(objects: 2)
    memory.point(from: nil, to: Memory.object(0) | 0xff07 << 48)
    #expect(isReached(Marking(memory.search()).fate(of: 0)))
  }

  @Test("an object's pointer to itself does not hold it")
  func selfPointer() {
    var memory = Memory(objects: 2)
    memory.point(from: 0, at: 8, to: Memory.object(0) + 16)
    #expect(Marking(memory.search()).fate(of: 0) == .unreachable)
  }

  @Test("a ring of lost objects is held by its own only; one pointer to it saves all")
  func ring() {
    var memory = Memory(objects: 4)
    for number in 0..<3 { memory.point(from: number, to: Memory.object((number + 1) % 3)) }
    var marking = Marking(memory.search())
    #expect(marking.fate(of: 0) == .onlyFromLost(2))
    #expect(marking.fate(of: 1) == .onlyFromLost(0))
    #expect(marking.fate(of: 3) == .unreachable)
    memory.point(from: nil, to: Memory.object(2))
    marking = Marking(memory.search())
    for number in 0..<3 { #expect(isReached(marking.fate(of: number))) }
    #expect(
      marking.fate(of: 1)
        == .reachable(Marking.Holder(object: 0, source: .data, place: 0x5555_0000_0000)))
  }

  @Test("a long list hangs on its head; without it all of the list is lost")
  func list() {
    var memory = Memory(objects: 1000)
    for number in 0..<999 { memory.point(from: number, to: Memory.object(number + 1)) }
    let lost = Marking(memory.search())
    #expect(lost.fate(of: 0) == .unreachable)
    for number in 1..<1000 { #expect(lost.fate(of: number) == .onlyFromLost(number - 1)) }
    memory.point(from: nil, to: Memory.object(0))
    let held = Marking(memory.search())
    for number in 0..<1000 { #expect(isReached(held.fate(of: number))) }
  }

  @Test("what an object pointed to that went meanwhile counts as reachable")
  func gone() {
    var memory = Memory(objects: 3)
    memory.point(from: 0, to: Memory.object(1))
    #expect(Marking(memory.search()).fate(of: 1) == .onlyFromLost(0))
    let marking = Marking(memory.search(), gone: [0])
    #expect(
      marking.fate(of: 1) == .reachable(Marking.Holder(object: 0, source: .unknownHeap, place: 0)))
    #expect(marking.fate(of: 2) == .unreachable)
  }

  @Test("an object that has come since holds more tellingly than memory that nobody knows")
  func newer() {
    var memory = Memory(objects: 4)
    for number in 1..<4 { memory.point(from: number, to: Memory.object(number - 1)) }
    memory.words[Memory.object(10) + 16] = Memory.object(3)
    memory.words[0x6000_0000_0000] = Memory.object(1)
    // Left over in free memory.
    memory.words[0x6000_0000_0008] = Memory.object(3)
    let search = memory.search(source: .unknownHeap)
    #expect(
      Marking(search).fate(of: 0)
        == .reachable(Marking.Holder(object: 1, source: .unknownHeap, place: 0x6000_0000_0000)))
    let marking = Marking(search, isNewer: { $0 / 128 == Memory.object(10) / 128 })
    for number in 0..<3 {
      #expect(
        marking.fate(of: number)
          == .reachable(
            Marking.Holder(object: number + 1, source: .object, place: Memory.object(10) + 16)))
    }
    #expect(
      marking.fate(of: 3)
        == .reachable(Marking.Holder(object: nil, source: .object, place: Memory.object(10) + 16)))
  }

  @Test("where only suspects are asked for, any other object holds them")
  func suspectsOnly() {
    var memory = Memory(objects: 4)
    memory.point(from: 0, to: Memory.object(1))
    memory.point(from: 2, to: Memory.object(3))
    let marking = Marking(memory.search(chosen: [1, 2, 3]), suspects: [1, 2, 3])
    #expect(marking.fate(of: 1) == .reachable(Marking.Holder(object: 0, source: .object, place: 0)))
    #expect(marking.fate(of: 2) == .unreachable)
    #expect(marking.fate(of: 3) == .onlyFromLost(2))
  }

  @Test("data tells more than memory that nobody knows")
  func preference() {
    var memory = Memory(objects: 1)
    memory.point(from: nil, to: Memory.object(0))
    var search = memory.search(source: .unknownHeap)
    search.resolve()
    search.search(word: Memory.object(0), source: .register, place: 7)
    search.search(word: Memory.object(0), source: .data, place: 8)
    search.search(word: Memory.object(0), source: .stack, place: 9)
    #expect(
      Marking(search).fate(of: 0) == .reachable(Marking.Holder(object: nil, source: .data, place: 8)))
  }

  @Test("glibc's own pointers to the block behind an object do not hold it")
  func nextHeader() {
    // With its header of 8 bytes in use an object of 24 takes a block of 32, one of 25 a block of 48.
    for (size, header) in [(60, 64), (24, 16), (1, 16), (40, 32), (41, 48), (56, 48)] as [(UInt64, UInt64)] {
      let object = LiveObject(address: 0x7f00_0000_0010, size: size, birth: 0, site: 0)
      for offset in stride(from: UInt64(0), to: size, by: 8) {
        for isAllocators in [true, false] {
          var search = PointerSearch(ObjectIndex([object]))
          search.search(
            [object.address + offset].span, at: 0x1000, source: .data, isAllocators: isAllocators)
          let isHeld = isReached(Marking(search).fate(of: 0))
          #expect(isHeld == !(isAllocators && offset == header), "\(size) \(offset)")
        }
      }
    }
  }

  @Test("random memory: the search finds what a plain comparison finds")
  func random() {
    var generator = SplitMix(state: 7)
    for _ in 0..<50 {
      var address: UInt64 = 0x10_0000
      let objects = (0..<200).map { number -> LiveObject in
        address += UInt64.random(in: 0..<6000, using: &generator)
        let size = UInt64.random(in: 0..<(number % 50 == 0 ? 200 << 20 : 9000), using: &generator)
        defer { address += max(size, 1) }
        return LiveObject(address: address, size: size, birth: 0, site: 0)
      }
      let index = ObjectIndex(objects.shuffled(using: &generator))
      #expect(index.objects == objects)
      let words = (0..<2000).map { _ in
        let near = objects[Int.random(in: 0..<objects.count, using: &generator)]
        let edge = Bool.random(using: &generator) ? near.address : near.end
        return edge &+ UInt64(bitPattern: Int64.random(in: -9000...9000, using: &generator))
      }
      let start: UInt64 = 0x6000_0000_0000
      var expected: [Int: UInt64] = [:]
      for (position, word) in words.enumerated() {
        if let number = objects.firstIndex(where: { $0.address <= word && word < $0.end }),
          expected[number] == nil
        {
          expected[number] = start + UInt64(position) * 8
        }
      }
      for chosen in [nil, expected.keys.sorted()] {
        var search = PointerSearch(index, chosen: chosen)
        search.search(words.span, at: start, source: .data)
        search.resolve()
        for number in objects.indices {
          #expect(search.roots[number] == (expected[number] == nil ? 0 : PointerSource.data.rawValue))
          #expect(search.rootPlaces[number] == expected[number] ?? 0)
        }
      }
    }
  }

  @Test("of objects that overlap none is inspected, for a free was missed")
  func overlaps() {
    let objects = [
      (0x1000, 64), (0x1040, 64), (0x1060, 8), (0x1070, 64), (0x2000, 8), (0x2000, 8), (0x3000, 8),
    ]
    .map { LiveObject(address: $0, size: $1, birth: 0, site: 0) }
    let index = ObjectIndex(objects)
    #expect(index.objects.map(\.address) == [0x1000, 0x3000])
    #expect(index.overlapping == 5)
  }

  @Test("gone is what is not there later in just the same way")
  func differences() {
    let before = Memory(objects: 4).objects
    var after = before
    after[1].birth = 99
    after[2].size = 8
    after.remove(at: 3)
    after.append(LiveObject(address: 1, size: 1, birth: 0, site: 0))
    #expect(ObjectIndex(before).gone(in: ObjectIndex(after)) == [1, 2, 3])
  }

  @Test("the oldest of each site, and no more than asked for")
  func oldest() {
    let objects = (0..<30).map {
      LiveObject(address: UInt64($0), size: 1, birth: UInt32(100 - $0), site: UInt32($0 % 3))
    }
    let found = LiveObject.oldest(of: [2, 0, 2, 7], among: objects, limit: 2)
    #expect(found.map(\.address) == [29, 26, 27, 24])
  }
}

/// A generator with a seed.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }
}

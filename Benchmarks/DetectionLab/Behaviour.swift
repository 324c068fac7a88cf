/// The moment that a behaviour acts in: one tick.
public struct Moment: Sendable {
  /// Ticks since the attach, negative before.
  let tick: Int
  /// Seconds since the attach at the tick's start, negative before.
  let seconds: Double
  /// Seconds since the program's start.
  let age: Double
  /// How busy the service is, around 1.
  let load: Double

  /// How many of what comes `rate` times a second on average come in this tick.
  func arrivals(_ rate: Double, _ random: inout RandomSource) -> Int {
    random.poisson(rate * load * Ledger.tick)
  }
}

/// What a call site does in a tick.
public protocol Behaviour: Sendable {
  mutating func step(_ moment: Moment, _ ledger: inout Ledger, _ random: inout RandomSource)
}

/// Objects of one size whose lifetimes are exponential: counts in bins of birth suffice, for such objects do not age.
struct ExponentialPool: Sendable {
  let size: Int
  let mean: Double
  private var bins: [Int32] = Array(repeating: 0, count: 64)
  private var shift: Int32 = 0
  private var first = 0
  private let survivesTick: Double
  private let diesInTick: Double

  init(size: Int, mean: Double) {
    self.size = size
    self.mean = mean
    // The share of a tick's births, evenly spread over it, that see its end.
    survivesTick = mean / Ledger.tick * -expm1Of(-Ledger.tick / mean)
    diesInTick = -expm1Of(-Ledger.tick / mean)
  }

  /// Some die, then `births` are born. Only what the profiler knows is followed.
  mutating func step(births: Int, _ ledger: inout Ledger, _ random: inout RandomSource) {
    guard ledger.now >= 0 else { return }
    while ledger.now >> shift >= 64 {
      shift += 1
      for index in 0..<32 { bins[index] = bins[2 * index] + bins[2 * index + 1] }
      for index in 32..<64 { bins[index] = 0 }
      first /= 2
    }
    let last = Int(ledger.now >> shift)
    for bin in first...last where bins[bin] > 0 {
      let dead = random.binomial(Int(bins[bin]), diesInTick)
      bins[bin] -= Int32(dead)
      ledger.bury(size: size, birth: Int32(bin) << shift, count: dead)
    }
    while first < last, bins[first] == 0 { first += 1 }
    let survivors = random.binomial(births, survivesTick)
    ledger.pass(size: size, count: births - survivors, &random)
    bins[last] += Int32(ledger.bear(size: size, count: survivors, &random))
  }
}

/// Objects that know when they will die: a binary heap by that time.
struct DeathQueue: Sendable {
  private var heap: [(time: Double, object: LabObject)] = []

  var count: Int { heap.count }

  mutating func add(_ object: LabObject, at time: Double) {
    heap.append((time, object))
    var child = heap.count - 1
    while child > 0, heap[child].time < heap[(child - 1) / 2].time {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// The next object whose time has come.
  mutating func next(until time: Double) -> LabObject? {
    guard let top = heap.first, top.time <= time else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].time < heap[least].time {
        least = child
      }
      guard least != parent else { return top.object }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  mutating func bury(until time: Double, _ ledger: inout Ledger) {
    while let object = next(until: time) { ledger.bury(object) }
  }
}

/// First in, first out, in an array that gives its front back now and then.
struct Fifo<Element: Sendable>: Sendable {
  private var items: [Element] = []
  private var head = 0

  var count: Int { items.count - head }
  var first: Element? { head < items.count ? items[head] : nil }

  mutating func append(_ element: Element) { items.append(element) }

  mutating func removeFirst() -> Element? {
    guard head < items.count else { return nil }
    defer {
      head += 1
      if head > 64, head > items.count / 2 {
        items.removeFirst(head)
        head = 0
      }
    }
    return items[head]
  }
}

/// The sizes that a site allocates: one, or log-normal ones around one.
struct SizeLaw: Sendable {
  let typical: Int
  let sigma: Double

  var mean: Double {
    sigma == 0 ? Double(typical) : Double(typical) * expOf(sigma * sigma / 2)
  }

  func draw(_ random: inout RandomSource) -> Int {
    sigma == 0 ? typical : max(1, Int(random.logNormal(median: Double(typical), sigma: sigma).rounded()))
  }
}

extension Ledger {
  /// Loses what a moment brings: `rate` objects a second at a load of 1, and the law that they follow.
  mutating func lose(rate: Double, sizes: SizeLaw, _ moment: Moment, _ random: inout RandomSource) {
    let count = moment.arrivals(rate, &random)
    for _ in 0..<count { lose(size: sizes.draw(&random), &random) }
    expect(rate: rate * moment.load, sizes: sizes)
  }

  /// Takes down what is lost on average, per second.
  mutating func expect(rate: Double, sizes: SizeLaw) {
    if now >= 0 { expectedLostBytes += rate * Ledger.tick * sizes.mean }
  }
}

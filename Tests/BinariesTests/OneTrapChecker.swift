import Profile

@testable import Binaries

/// Walks the paths of a function with symbolic values and holds the sites that were found against them. It shares
/// nothing with the analysis but the decoder, and the knowledge of which calls do not return.
struct OneTrapChecker {
  /// What a register or a word of the frame holds.
  enum Value: Hashable {
    case size
    case factor(Int)
    /// rbp as the caller had it.
    case callerFramePointer
    case zero
    /// Bytes from the canonical frame address.
    case frame(Int)
    /// What a word of the stack holds that was not written since a write to an unknown place of it.
    case unwritten(at: Int, writes: Int)
    /// Anything else, by a number of its own: results of calls, loads, sums.
    case other(Int)
  }

  struct Wrong: Error, CustomStringConvertible {
    var description: String
  }

  struct Machine {
    var address: UInt64
    var registers: [Value]
    var frame: [Int: Value] = [:]
    /// Writes to the stack at places not known.
    var writes = 0
    /// The value whose zeroness the zero flag tells.
    var tested: Value?
    /// Values known to be null on this path.
    var nulls: Set<Value> = [.zero]
    var hits: [(site: OneTrapSite, result: Value)] = []
    var remembers = false
    var edges: [UInt64: Int] = [:]
    var steps = 0

    func word(_ at: Int) -> Value { frame[at] ?? .unwritten(at: at, writes: writes) }

    var stackPointer: Int? {
      if case .frame(let at) = registers[4] { return at }
      return nil
    }
  }

  let entry: UInt64
  let call: AllocatorCall
  let code: (UInt64) -> [UInt8]
  let sites: [OneTrapSite]
  var isEntry: (UInt64) -> Bool = { _ in false }
  /// Calls at these addresses do not return.
  var deadCalls: Set<UInt64> = []
  var mostPaths = 20_000

  static func start(_ entry: UInt64, _ call: AllocatorCall) -> Machine {
    var registers = (0..<16).map { Value.other(-1 - $0) }
    registers[4] = .frame(-8)
    registers[5] = .callerFramePointer
    switch call {
    case .calloc: (registers[7], registers[6]) = (.factor(0), .factor(1))
    case .alignedAlloc: registers[6] = .size
    default: registers[7] = .size
    }
    return Machine(address: entry, registers: registers)
  }

  /// The number of paths that were walked to a return. Throws `Wrong` for the first that a site tells wrongly.
  func run() throws -> Int {
    guard let disassembler = Disassembler() else { throw Wrong(description: "no disassembler") }
    var decoded: [UInt64: Instruction] = [:]
    var pending = [Self.start(entry, call)]
    var returned = 0
    var fresh = 0
    var paths = 0
    var generator = Seeded(state: 1)
    while !pending.isEmpty, paths < mostPaths {
      // Any of them, so that a bound on their number does not keep to one corner.
      pending.swapAt(Int(generator.next() % UInt64(pending.count)), pending.count - 1)
      guard var machine = pending.popLast() else { break }
      while true {
        machine.steps += 1
        guard machine.steps < 3000 else { break }
        let here = machine.address
        if decoded[here] == nil {
          decoded[here] = disassembler.instructions(code(here), at: here, limit: 1).first
        }
        guard let instruction = decoded[here] else { throw wrong("no instruction", machine) }
        let next = try step(instruction, &machine, &fresh)
        if instruction.kind == .return {
          try checkReturn(machine)
          returned += 1
          break
        }
        guard let first = next.first else { break }
        for other in next.dropFirst() where pending.count < 50_000 { pending.append(other) }
        machine = first
      }
      paths += 1
    }
    return returned
  }

  func wrong(_ what: String, _ machine: Machine) -> Wrong {
    let trail = machine.hits.map { "+0x" + String($0.site.offset, radix: 16) }.joined(separator: " ")
    return Wrong(description: "\(what) at +0x\(String(machine.address &- entry, radix: 16)), hits: \(trail)")
  }

  func checkReturn(_ machine: Machine) throws {
    guard machine.stackPointer == -8 else {
      throw wrong("a return with rsp \(machine.registers[4])", machine)
    }
    let result = machine.registers[0]
    switch machine.hits.count {
    case 0:
      guard machine.nulls.contains(result) else { throw wrong("\(result) returned, no site passed", machine) }
    case 1:
      let told = machine.hits[0].result
      guard told == result || machine.nulls.contains(told) && machine.nulls.contains(result) else {
        throw wrong("\(result) returned, \(told) told", machine)
      }
    default: throw wrong("several sites passed", machine)
    }
  }

  // MARK: - Sites

  func hit(_ machine: inout Machine, isTaken: Bool?) throws {
    for site in sites where entry &+ site.offset == machine.address {
      if let edge = site.edge, edge.isTaken != isTaken { continue }
      guard machine.stackPointer == -site.frameBytes else {
        throw wrong("frameBytes \(site.frameBytes)", machine)
      }
      guard value(site.callerFramePointer, machine) == .callerFramePointer else {
        throw wrong("the caller's rbp is not in \(site.callerFramePointer)", machine)
      }
      if let size = site.size, value(size, machine) != .size {
        throw wrong("\(String(describing: value(size, machine))) for the size", machine)
      }
      switch site.role {
      case .remember:
        guard site.size != nil else { throw wrong("nothing to remember", machine) }
        machine.remembers = true
      case .leave: throw wrong("a site that no analysis gives", machine)
      case .record, .settle:
        if site.role == .settle, !machine.remembers { throw wrong("nothing was remembered", machine) }
        if site.role == .record, site.size == nil { throw wrong("no size", machine) }
        guard let place = site.result, let result = value(place, machine) else {
          throw wrong("no result", machine)
        }
        machine.hits.append((site, result))
      }
    }
  }

  func value(_ place: Place, _ machine: Machine) -> Value? {
    switch place {
    case .register(let number): machine.registers[number]
    case .stack(let bytes): machine.stackPointer.map { machine.word($0 + bytes) }
    }
  }
}

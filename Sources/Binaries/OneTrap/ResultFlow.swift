/// Where the value that the function will return stands, on every way from a point to a return: a backward
/// dataflow analysis.
struct ResultFlow {
  enum Value: Hashable {
    /// Not looked at yet, or the function never returns from here.
    case unvisited
    /// Nothing needs to be seen from here on: null is returned, or another entry point's probe takes over.
    case settled
    /// In each of these spots; in none, if it is not computed yet or no spot holds it on all ways.
    case spots(Set<Spot>)

    var known: Set<Spot>? {
      if case .spots(let spots) = self, !spots.isEmpty { return spots }
      return nil
    }

    static func meet(_ a: Value, _ b: Value) -> Value {
      switch (a, b) {
      case (.unvisited, let other), (let other, .unvisited): other
      case (.settled, .settled): .settled
      case (.spots(let x), .spots(let y)): .spots(x.intersection(y))
      case (.settled, .spots), (.spots, .settled): .spots([])
      }
    }
  }

  /// Before each node.
  private(set) var before: [Value]
  private let graph: FlowGraph
  private let sizes: SizeFlow

  /// `isTakenOver`: a jump to this address passes the call on to a function whose own probe sees it.
  init(_ graph: FlowGraph, _ sizes: SizeFlow, isTakenOver: (UInt64, SizeFlow.State) -> Bool)
    throws(OneTrap.Refusal)
  {
    self.graph = graph
    self.sizes = sizes
    before = Array(repeating: .unvisited, count: graph.nodes.count)
    var pending = Set(graph.nodes.indices.filter { sizes.before[$0] != nil })
    // What a test of the result says may come and go while the sets shrink: not every function needs to settle.
    var steps = 1000 + graph.nodes.count * 100
    while let at = pending.popFirst() {
      steps -= 1
      guard steps > 0 else { throw OneTrap.Refusal("where its result stands does not settle") }
      guard let state = sizes.before[at] else { continue }
      let value = Self.before(graph.nodes[at], state, after(at, state, isTakenOver))
      guard value != before[at] else { continue }
      before[at] = value
      pending.formUnion(graph.predecessors[at])
    }
  }

  /// On the way from a node to one of its successors.
  func onEdge(from at: Int, to successor: Int) -> Value {
    guard let spots = before[successor].known, let tested = testedForZero(at),
      tested.edge == successor, spots.contains(.register(tested.register))
    else { return before[successor] }
    return .settled
  }

  private func after(_ at: Int, _ state: SizeFlow.State, _ isTakenOver: (UInt64, SizeFlow.State) -> Bool)
    -> Value
  {
    let node = graph.nodes[at]
    var value = Value.unvisited
    switch node.exit {
    case .none: break
    case .returns: return .spots([.rax])
    // Whatever is said of a way that never returns is true.
    case .dies: return .unvisited
    case .leaves(let target):
      value = target.map { isTakenOver($0, state) } == true ? .settled : .spots([])
    }
    for successor in node.successors { value = .meet(value, onEdge(from: at, to: successor)) }
    return value
  }

  /// `test r, r` and a jump on its outcome: on one edge r is 0.
  private func testedForZero(_ at: Int) -> (register: Int, edge: Int)? {
    let node = graph.nodes[at]
    guard node.instruction.kind == .conditionalJump, node.successors.count == 2,
      node.successors[0] != node.successors[1], at != 0, let condition = node.condition,
      condition == 4 || condition == 5, graph.predecessors[at].count == 1
    else { return nil }
    let test = graph.nodes[graph.predecessors[at][0]].instruction
    let operands = test.operands.split(separator: ",").map { $0.drop { $0 == " " } }
    guard test.mnemonic == "test", operands.count == 2, operands[0] == operands[1],
      let register = RegisterSet.partNames.firstIndex(where: { $0.first == String(operands[0]) })
    else { return nil }
    return (register, node.successors[condition == 4 ? 1 : 0])
  }

  private static func before(_ node: FlowGraph.Node, _ state: SizeFlow.State, _ after: Value) -> Value {
    guard case .spots(var spots) = after, node.exit == .none || node.instruction.kind == .conditionalJump
    else {
      return after
    }
    if node.instruction.kind == .call {
      return .spots(spots.filter { isKept($0, Effect.keptByCalls) && isAboveStack($0, state) })
    }
    func replace(_ to: Spot, _ from: Spot?) {
      guard spots.remove(to) != nil, let from else { return }
      spots.insert(from)
    }
    switch node.effect {
    case .copy(let to, let from):
      if let target = state.spot(to) {
        replace(target, state.spot(from))
      } else if case .memory(let memory) = to {
        spots = spots.filter { !isTouched($0, memory, state) }
      }
    case .pushOther: spots.remove(.frame(state.depth + 8))
    case .push(let register): replace(.frame(state.depth + 8), .register(register))
    case .pop(let register): replace(.register(register), .frame(state.depth))
    case .leave: replace(.rbp, state.framePointer.map { .frame($0) })
    case .setFramePointer: spots.remove(.rbp)
    case .zero(let register):
      if spots.contains(.register(register)) { return .settled }
    case .multiply:
      spots = spots.filter { isKept($0, RegisterSet(rawValue: ~RegisterSet([.rax, .rdx]).rawValue)) }
    case .multiplyInto(let register, _): spots.remove(.register(register))
    case .clobber(let registers, let memory):
      spots = spots.filter { isKept($0, RegisterSet(rawValue: ~registers.rawValue)) }
      if let memory { spots = spots.filter { !isTouched($0, memory, state) } }
    case .lower, .escape: break
    }
    return .spots(spots.filter { isAboveStack($0, state) })
  }

  /// Calls and signals may overwrite what lies below rsp.
  private static func isAboveStack(_ spot: Spot, _ state: SizeFlow.State) -> Bool {
    spot.frameDistance.map { $0 <= state.depth } ?? true
  }

  private static func isKept(_ spot: Spot, _ registers: RegisterSet) -> Bool {
    spot.register.map { registers.contains(RegisterSet(rawValue: 1 << UInt16($0))) } ?? true
  }

  /// Whether a write may touch a frame word.
  private static func isTouched(_ spot: Spot, _ memory: Effect.Memory, _ state: SizeFlow.State) -> Bool {
    guard let distance = spot.frameDistance,
      let base = memory.isByFramePointer ? state.framePointer : state.depth
    else { return false }
    let high = base - memory.displacement
    return distance > high - memory.bytes && distance - 8 < high
  }
}

extension FlowGraph.Node {
  /// Of a conditional jump: the low four bits of its opcode.
  var condition: UInt8? {
    let bytes = instruction.bytes
    switch (bytes.count, bytes.first ?? 0) {
    case (2, 0x70...0x7f): return bytes[0] & 15
    case (6, 0x0f): return bytes[1] & 15
    default: return nil
    }
  }
}

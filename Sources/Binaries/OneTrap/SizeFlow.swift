import Profile

/// Where the requested size and the caller's frame pointer stand before each instruction, on every path that leads
/// there: a forward dataflow analysis, in which only what holds on all paths is kept.
struct SizeFlow {
  struct State: Hashable {
    /// Bytes from rsp to the canonical frame address; 8 at the entry.
    var depth = 8
    /// Bytes from rbp to it, where rbp points into the frame.
    var framePointer: Int?
    /// Whether rbp points there on some ways only, or to different places.
    var isFramePointerMixed = false
    /// Spots that hold the size; for calloc, before the multiplication, its two factors.
    var size: Set<Spot>
    var first: Set<Spot>
    var second: Set<Spot>
    /// Spots that hold the caller's rbp.
    var callerFramePointer: Set<Spot> = [.rbp]

    init(_ call: AllocatorCall) {
      switch call {
      case .calloc: (size, first, second) = ([], [.rdi], [.rsi])
      case .alignedAlloc: (size, first, second) = ([.rsi], [], [])
      default: (size, first, second) = ([.rdi], [], [])
      }
    }

    /// The spot of a part of the stack, if it is one whole word of the frame. What lies below rsp is none: calls
    /// and signals may overwrite it.
    func spot(_ memory: Effect.Memory) -> Spot? {
      let base = memory.isByFramePointer ? framePointer : depth
      guard let base, memory.bytes == 8 else { return nil }
      let distance = base - memory.displacement
      return distance > 0 && distance <= depth && distance % 8 == 0 ? .frame(distance) : nil
    }

    func spot(_ operand: Effect.Operand) -> Spot? {
      switch operand {
      case .register(let number): .register(number)
      case .memory(let memory): spot(memory)
      }
    }

    private mutating func change(_ body: (inout Set<Spot>) -> Void) {
      body(&size)
      body(&first)
      body(&second)
      body(&callerFramePointer)
    }

    mutating func assign(_ to: Spot, _ from: Spot?) {
      if to == .rbp { forgetFramePointer() }
      change { set in
        if let from, set.contains(from) { set.insert(to) } else { set.remove(to) }
      }
    }

    private mutating func forgetFramePointer() {
      framePointer = nil
      isFramePointerMixed = false
    }

    mutating func forget(_ registers: RegisterSet) {
      if registers.contains(.rbp) { forgetFramePointer() }
      change { set in
        set = set.filter { spot in
          spot.register.map { registers.isDisjoint(with: RegisterSet(rawValue: 1 << UInt16($0))) } ?? true
        }
      }
    }

    mutating func forget(_ memory: Effect.Memory) {
      let base = memory.isByFramePointer ? framePointer : depth
      // rbp as a general register: a pointer to something else.
      guard let base else { return }
      let high = base - memory.displacement
      let low = high - memory.bytes
      change { set in
        // A word at distance d takes the bytes d down to d - 8.
        set = set.filter { spot in spot.frameDistance.map { $0 <= low || $0 - 8 >= high } ?? true }
      }
    }

    /// A write of which it is not known whether it goes to the frame, or one over the return address.
    func isUnfollowed(_ memory: Effect.Memory) -> Bool {
      if memory.isByFramePointer, isFramePointerMixed { return true }
      let base = memory.isByFramePointer ? framePointer : depth
      guard let base, memory.bytes <= 64 else { return false }
      let high = base - memory.displacement
      return high > 0 && high - memory.bytes < 8
    }

    mutating func move(to depth: Int) {
      self.depth = depth
      // What lies below rsp may be overwritten at any time.
      change { set in set = set.filter { $0.frameDistance.map { $0 <= depth } ?? true } }
    }
  }

  /// Before each node; nil where control never comes.
  let before: [State?]

  init(_ graph: FlowGraph, _ call: AllocatorCall) throws(OneTrap.Refusal) {
    var before = [State?](repeating: nil, count: graph.nodes.count)
    before[0] = State(call)
    var pending: Set<Int> = [0]
    while let at = pending.popFirst() {
      guard let state = before[at] else { continue }
      let node = graph.nodes[at]
      if node.exit == .returns, state.depth != 8 {
        throw OneTrap.Refusal(
          "a return at 0x\(String(node.instruction.address, radix: 16)) with the stack moved")
      }
      let after = try Self.after(node, state)
      for successor in node.successors {
        guard let known = before[successor] else {
          before[successor] = after
          pending.insert(successor)
          continue
        }
        let merged = try Self.meet(known, after, graph.nodes[successor])
        if merged != known {
          before[successor] = merged
          pending.insert(successor)
        }
      }
    }
    self.before = before
  }

  private static func meet(_ a: State, _ b: State, _ node: FlowGraph.Node) throws(OneTrap.Refusal) -> State {
    guard a.depth == b.depth else {
      throw OneTrap.Refusal(
        "the stack is moved differently on two ways to "
          + "0x\(String(node.instruction.address, radix: 16))")
    }
    var result = a
    result.framePointer = a.framePointer == b.framePointer ? a.framePointer : nil
    result.isFramePointerMixed =
      a.isFramePointerMixed || b.isFramePointerMixed || a.framePointer != b.framePointer
    result.size.formIntersection(b.size)
    result.first.formIntersection(b.first)
    result.second.formIntersection(b.second)
    result.callerFramePointer.formIntersection(b.callerFramePointer)
    return result
  }

  private static func after(_ node: FlowGraph.Node, _ state: State) throws(OneTrap.Refusal) -> State {
    var state = state
    if node.instruction.kind == .call {
      state.forget(RegisterSet(rawValue: ~Effect.keptByCalls.rawValue))
      return state
    }
    let mayPointIntoFrame = state.framePointer != nil || state.isFramePointerMixed
    if mayPointIntoFrame, node.effect != .setFramePointer, Effect.takesAddress(node.instruction) {
      throw unfollowed(node)
    }
    if let memory = node.effect.memoryWritten, state.isUnfollowed(memory) { throw unfollowed(node) }
    switch node.effect {
    case .copy(let to, let from):
      if let target = state.spot(to) {
        state.assign(target, state.spot(from))
      } else if case .memory(let memory) = to {
        state.forget(memory)
      }
    case .push(let register):
      let depth = state.depth + 8
      state.move(to: depth)
      state.assign(.frame(depth), .register(register))
    case .pushOther:
      let depth = state.depth + 8
      state.move(to: depth)
      state.assign(.frame(depth), nil)
    case .pop(let register):
      state.assign(.register(register), .frame(state.depth))
      state.move(to: state.depth - 8)
    case .lower(let bytes):
      state.move(to: state.depth + bytes)
    case .leave:
      guard let frame = state.framePointer else { throw OneTrap.Refusal("rsp is taken from an unknown rbp") }
      state.move(to: frame)
      state.assign(.rbp, .frame(frame))
      state.move(to: frame - 8)
    case .setFramePointer:
      state.assign(.rbp, nil)
      state.framePointer = state.depth
      state.isFramePointerMixed = false
    case .zero(let register): state.assign(.register(register), nil)
    case .multiply(let register):
      let isProduct =
        state.first.contains(.rax) && state.second.contains(.register(register))
        || state.second.contains(.rax) && state.first.contains(.register(register))
      state.forget([.rax, .rdx])
      if isProduct { state.size = [.rax] }
    case .multiplyInto(let to, let by):
      let (a, b) = (Spot.register(to), Spot.register(by))
      let isProduct =
        state.first.contains(a) && state.second.contains(b)
        || state.second.contains(a) && state.first.contains(b)
      state.assign(a, nil)
      if isProduct { state.size = [a] }
    case .clobber(let registers, let memory):
      if let memory { state.forget(memory) }
      state.forget(registers)
    case .escape:
      throw unfollowed(node)
    }
    guard state.depth >= 8 else { throw unfollowed(node) }
    return state
  }

  private static func unfollowed(_ node: FlowGraph.Node) -> OneTrap.Refusal {
    OneTrap.Refusal(
      "`\(node.instruction.text)` at 0x\(String(node.instruction.address, radix: 16)) does with the stack what "
        + "cannot be followed")
  }
}

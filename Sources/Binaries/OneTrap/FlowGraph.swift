/// The instructions of a function and how control goes from one to the next. Jumps out of the function's own bytes
/// are followed: compilers put unlikely parts of a function elsewhere, and a call at the end becomes a jump.
struct FlowGraph {
  enum Exit: Hashable {
    case none
    /// Returns to the caller.
    case returns
    /// Goes on where the analysis cannot follow: through a pointer, or into another entry point.
    case leaves(UInt64?)
    /// Never returns: ud2, hlt, int3, a call of a function that does not.
    case dies
  }

  struct Node {
    var instruction: Instruction
    var effect: Effect
    /// Indices of nodes. Of a conditional jump the fall through comes first, then the jump.
    var successors: [Int] = []
    var exit = Exit.none
  }

  /// The entry is the first. Some may be out of reach, once it is known which calls do not return.
  private(set) var nodes: [Node] = []
  private(set) var predecessors: [[Int]] = []

  private static let mostInstructions = 6000

  /// Follows the code from `entry`. `code` gives bytes at an address, at least 15 where there are so many. Jumps to
  /// addresses that `isEntry` knows leave the function.
  init(
    entry: UInt64, code: @escaping (UInt64) -> [UInt8],
    neverReturns: @escaping (UInt64) -> Bool = { _ in false }, isEntry: (UInt64) -> Bool
  ) throws(OneTrap.Refusal) {
    guard let disassembler = Disassembler() else { throw OneTrap.Refusal("the disassembler does not start") }
    var index: [UInt64: Int] = [:]
    var targets: [[UInt64]] = []
    var pending = [entry]
    while let address = pending.popLast() {
      guard index[address] == nil, nodes.count < Self.mostInstructions,
        let instruction = disassembler.instructions(code(address), at: address, limit: 1).first
      else { continue }
      index[address] = nodes.count
      var node = Node(instruction: instruction, effect: Effect(instruction))
      let next = Self.next(instruction, isEntry, &node.exit)
      nodes.append(node)
      targets.append(next)
      pending += next
    }
    guard !nodes.isEmpty else { throw OneTrap.Refusal("there is no code at its address") }
    for at in nodes.indices {
      nodes[at].successors = targets[at].compactMap { index[$0] }
      // What could not be decoded, or is too far, is somewhere else.
      if nodes[at].successors.count < targets[at].count { nodes[at].exit = .leaves(nil) }
    }
    connect()
    var search = ReturnSearch(code: code, neverReturns: neverReturns)
    // Each call that is found not to return may take away a way into the block of another.
    while cutOne(&search, disassembler) { connect() }
  }

  /// Where control goes from an instruction, within the function.
  private static func next(
    _ instruction: Instruction, _ isEntry: (UInt64) -> Bool, _ exit: inout Exit
  ) -> [UInt64] {
    let following = instruction.address &+ instruction.size
    switch instruction.kind {
    case .straight, .call: return [following]
    case .conditionalJump:
      guard let target = instruction.branchTarget, !isEntry(target) else {
        exit = .leaves(instruction.branchTarget)
        return [following]
      }
      return [following, target]
    case .jump:
      guard let target = instruction.branchTarget, !isEntry(target) else {
        exit = .leaves(instruction.branchTarget)
        return []
      }
      return [target]
    case .return:
      // A far one, or one that takes arguments off the stack, is no end of a C function.
      let isPlain = instruction.mnemonic.hasSuffix("ret") && instruction.operands.isEmpty
      exit = isPlain ? .returns : .leaves(nil)
      return []
    case .trap:
      if instruction.mnemonic == "syscall" { return [following] }
      exit = instruction.isDeadly ? .dies : .leaves(nil)
      return []
    }
  }

  /// Finds the predecessors, among the nodes within reach.
  private mutating func connect() {
    var reached: Set<Int> = [0]
    var pending = [0]
    predecessors = Array(repeating: [], count: nodes.count)
    while let at = pending.popLast() {
      for successor in nodes[at].successors {
        predecessors[successor].append(at)
        if reached.insert(successor).inserted { pending.append(successor) }
      }
    }
  }

  /// Cuts behind calls that do not return; true if there was one.
  private mutating func cutOne(_ search: inout ReturnSearch, _ disassembler: borrowing Disassembler) -> Bool {
    var hasCut = false
    for at in nodes.indices where nodes[at].instruction.kind == .call && nodes[at].exit == .none {
      guard let target = nodes[at].instruction.branchTarget, at == 0 || !predecessors[at].isEmpty,
        !search.returns(target, constants(before: at), disassembler)
      else { continue }
      nodes[at].exit = .dies
      nodes[at].successors = []
      hasCut = true
    }
    return hasCut
  }

  /// What the instructions that always come before a node have set.
  private func constants(before node: Int) -> Constants {
    var block: [Int] = []
    var at = node
    while block.count < 16, at != 0, predecessors[at].count == 1, predecessors[at][0] != node {
      at = predecessors[at][0]
      block.append(at)
    }
    var constants = Constants()
    for at in block.reversed() { constants.run(nodes[at].instruction) }
    return constants
  }
}

extension Instruction {
  /// Whether a process does not get past it: other traps go on, as `int 0x80` and `xbegin` do.
  var isDeadly: Bool { ["ud2", "hlt", "int3"].contains(mnemonic) }
}

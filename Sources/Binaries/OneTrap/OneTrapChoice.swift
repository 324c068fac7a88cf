/// Chooses sites such that every path that returns a block passes exactly one that tells it.
struct OneTrapChoice {
  /// An instruction, or one of the two ways out of a conditional jump.
  private struct Site: Hashable {
    var node: Int
    /// Index among the node's successors; nil for all of them.
    var edge: Int?
  }

  private let graph: FlowGraph
  private let sizes: SizeFlow
  private let results: ResultFlow
  private(set) var sites: [OneTrapSite] = []

  /// Nodes that may be probed, as far as their bytes go.
  private var isProbeable: [Bool] = []

  init(_ graph: FlowGraph, _ sizes: SizeFlow, _ results: ResultFlow, _ isOwn: (UInt64) -> Bool)
    throws(OneTrap.Refusal)
  {
    self.graph = graph
    self.sizes = sizes
    self.results = results
    // A breakpoint in the middle of another instruction (a jump behind a lock prefix) would change that one.
    let starts = Set(graph.nodes.map(\.instruction.address))
    var covered: Set<UInt64> = []
    for node in graph.nodes {
      let address = node.instruction.address
      covered.formUnion(
        (1..<max(node.instruction.size, 1)).lazy.map { address &+ $0 }.filter(starts.contains))
    }
    isProbeable = graph.nodes.map { node in
      let address = node.instruction.address
      return node.instruction.isEmulatedByKernel && !covered.contains(address) && isOwn(address)
    }
    var forbidden: Set<Site> = []
    var chosen = try cover(without: forbidden)
    // A path may pass a site and then one that was chosen for another path: the earlier one goes, if all that
    // follows it can be covered later.
    while let early = chosen.first(where: { reaches($0, chosen) }) {
      forbidden.insert(early)
      guard forbidden.count < 64 else { throw OneTrap.Refusal("no set of sites is passed exactly once") }
      chosen = try cover(without: forbidden)
    }
    guard !chosen.isEmpty else { throw OneTrap.Refusal("it never returns a block") }
    var remembering: Set<Site> = []
    for site in chosen {
      guard let state = sizes.before[site.node] else { continue }
      if state.size.isEmpty { remembering.formUnion(try remember(before: site.node)) }
      sites.append(try made(site, state.size.isEmpty ? .settle : .record))
    }
    guard remembering.allSatisfy({ site in !chosen.contains { $0.node == site.node } }) else {
      throw OneTrap.Refusal("one instruction would have to remember and to settle")
    }
    for site in remembering { sites.append(try made(site, .remember)) }
    guard sites.count <= 16, Set(sites.map(\.offset)).count == sites.count else {
      throw OneTrap.Refusal("too many places would have to be probed")
    }
  }

  /// The first usable site on each path, from where the result is known.
  private func cover(without forbidden: Set<Site>) throws(OneTrap.Refusal) -> Set<Site> {
    var chosen: Set<Site> = []
    guard results.before[0] != .settled else { return [] }
    var seen: Set<Int> = [0]
    // Nodes with the result not yet known, then nodes with it known and no site passed.
    var pending = [0]
    while let at = pending.popLast() {
      let node = graph.nodes[at]
      if results.before[at].known != nil, isUsable(at), !forbidden.contains(Site(node: at, edge: nil)) {
        chosen.insert(Site(node: at, edge: nil))
        continue
      }
      if node.exit == .returns {
        throw OneTrap.Refusal(
          "the way to the return at 0x\(String(node.instruction.address, radix: 16)) passes no usable instruction"
        )
      }
      if case .leaves(let target) = node.exit, results.before[at] != .settled || node.successors.isEmpty {
        // Another entry point has its own probe; elsewhere the call is lost from sight.
        guard results.before[at] == .settled || isSettledExit(at) else {
          throw OneTrap.Refusal(
            "it goes on at \(target.map { "0x" + String($0, radix: 16) } ?? "an address only known at run time")"
          )
        }
      }
      for (index, successor) in node.successors.enumerated() {
        let value = results.onEdge(from: at, to: successor)
        if value == .settled || value == .unvisited { continue }
        let site = Site(node: at, edge: index)
        if value.known != nil, node.instruction.kind == .conditionalJump, isUsable(at),
          !forbidden.contains(site)
        {
          chosen.insert(site)
        } else if seen.insert(successor).inserted {
          pending.append(successor)
        }
      }
    }
    return chosen
  }

  /// A jump that leaves: what the result analysis made of it alone.
  private func isSettledExit(_ at: Int) -> Bool {
    graph.nodes[at].successors.isEmpty && results.before[at] == .settled
  }

  private func isUsable(_ at: Int) -> Bool {
    guard let state = sizes.before[at], !state.callerFramePointer.isEmpty else { return false }
    return isProbeable[at]
  }

  /// Whether a path that passes a site passes a chosen one again.
  private func reaches(_ site: Site, _ chosen: Set<Site>) -> Bool {
    let node = graph.nodes[site.node]
    var pending = site.edge.map { [node.successors[$0]] } ?? node.successors
    var seen = Set(pending)
    while let at = pending.popLast() {
      if chosen.contains(Site(node: at, edge: nil)) { return true }
      for (index, successor) in graph.nodes[at].successors.enumerated() {
        if chosen.contains(Site(node: at, edge: index)) { return true }
        if seen.insert(successor).inserted { pending.append(successor) }
      }
    }
    return false
  }

  /// The last instructions before a node, on every path to it, at which the size is known.
  private func remember(before node: Int) throws(OneTrap.Refusal) -> Set<Site> {
    var found: Set<Site> = []
    var seen: Set<Int> = [node]
    var pending = [node]
    while let at = pending.popLast() {
      if at == 0 { throw OneTrap.Refusal("the size is lost before any usable instruction") }
      for before in graph.predecessors[at] where sizes.before[before] != nil {
        if isUsable(before), let state = sizes.before[before], !state.size.isEmpty {
          let successors = graph.nodes[before].successors
          found.insert(Site(node: before, edge: successors.count > 1 ? successors.firstIndex(of: at) : nil))
        } else if seen.insert(before).inserted {
          pending.append(before)
        }
      }
    }
    return found
  }

  private func made(_ site: Site, _ role: OneTrapSite.Role) throws(OneTrap.Refusal) -> OneTrapSite {
    let node = graph.nodes[site.node]
    guard let state = sizes.before[site.node] else { throw OneTrap.Refusal("unreachable") }
    let value =
      site.edge.map { results.onEdge(from: site.node, to: node.successors[$0]) } ?? results.before[site.node]
    var edge: Edge?
    if let index = site.edge {
      guard let condition = node.condition else { throw OneTrap.Refusal("a jump without a condition") }
      edge = Edge(condition: condition, isTaken: index == 1)
    }
    let entry = graph.nodes[0].instruction.address
    guard let pointer = place(state.callerFramePointer, state.depth) else {
      throw OneTrap.Refusal("the caller's frame pointer is lost")
    }
    return OneTrapSite(
      role: role, offset: node.instruction.address &- entry, instruction: node.instruction.text, edge: edge,
      result: role == .remember ? nil : place(value.known ?? [], state.depth),
      size: role == .settle ? nil : place(state.size, state.depth), frameBytes: state.depth,
      callerFramePointer: pointer)
  }

  /// A register rather than memory; always the same one.
  private func place(_ spots: Set<Spot>, _ depth: Int) -> Place? {
    if let register = spots.compactMap(\.register).min() { return .register(register) }
    return spots.compactMap(\.frameDistance).min().map { .stack(depth - $0) }
  }
}

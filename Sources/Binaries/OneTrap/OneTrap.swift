public import Profile

/// Finds the places inside of an allocation function where one trap tells both the result and the requested size,
/// so that its entry and its return need not be probed.
///
/// The proof, from the bytes alone: a forward analysis says where the size stands before each instruction
/// (`SizeFlow`), a backward one where the final result stands (`ResultFlow`). From the first point on at which the
/// result is known the way to the return must pass exactly one chosen instruction, on every path that does not
/// return null; where the size is lost by then, an earlier instruction remembers it. A function for which that
/// cannot be shown is refused: it is then probed at entry and return.
public enum OneTrap {
  /// Why a function cannot be probed from the inside.
  public struct Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
  }

  /// The sites of a function, by offset.
  /// - Parameters:
  ///   - entry: the function's virtual address.
  ///   - call: what it does; only calls that return their result in rax, and get no old block, qualify.
  ///   - code: bytes at a virtual address: at least 15 where there are so many, none outside of the code.
  ///   - isEntry: whether a function that is probed itself begins at an address.
  ///   - isTakenOver: whether a jump to such an address hands the same call on (malloc jumps to another malloc).
  ///   - neverReturns: whether a call of this address is known not to return; a stub of the linkage table is an
  ///     address like another.
  ///   - isOwn: whether only calls of this function come to an address. Sites are put nowhere else: behind a jump at
  ///     the end of a function stands another, that many may call.
  public static func analyse(
    entry: UInt64, call: AllocatorCall, code: @escaping (UInt64) -> [UInt8],
    isEntry: (UInt64) -> Bool = { _ in false },
    isTakenOver: (UInt64) -> Bool = { _ in false },
    neverReturns: @escaping (UInt64) -> Bool = { _ in false },
    isOwn: (UInt64) -> Bool = { _ in true }
  ) throws(Refusal) -> [OneTrapSite] {
    guard call == .malloc || call == .calloc || call == .alignedAlloc else {
      throw Refusal("its old block or its result's place must be seen at the entry")
    }
    let graph = try FlowGraph(entry: entry, code: code, neverReturns: neverReturns) {
      $0 != entry && isEntry($0)
    }
    try refuseInnerCalls(graph, isEntry, isOwn)
    let sizes = try SizeFlow(graph, call)
    let argument: Spot = call == .alignedAlloc ? .rsi : .rdi
    let results = try ResultFlow(graph, sizes) { target, state in
      isTakenOver(target) && call != .calloc && state.size.contains(argument) && state.depth == 8
    }
    let choice = try OneTrapChoice(graph, sizes, results, isOwn)
    return choice.sites.sorted {
      ($0.offset, $0.edge?.isTaken == true ? 1 : 0) < ($1.offset, $1.edge?.isTaken == true ? 1 : 0)
    }
  }
  /// Calls that the sites could not tell from the function's own: one of a part of itself, where a site would belong
  /// to two frames, and one of a function that is probed, which would record a block a second time.
  private static func refuseInnerCalls(
    _ graph: FlowGraph, _ isEntry: (UInt64) -> Bool, _ isOwn: (UInt64) -> Bool
  ) throws(Refusal) {
    let starts = Set(graph.nodes.map(\.instruction.address))
    for node in graph.nodes where node.instruction.kind == .call && node.exit != .dies {
      guard let target = node.instruction.branchTarget else { continue }
      let at = "0x" + String(target, radix: 16)
      if target == graph.nodes[0].instruction.address || isEntry(target) {
        throw Refusal("it calls a function that is probed itself at \(at)")
      }
      if starts.contains(target), isOwn(target) { throw Refusal("it calls its own inside at \(at)") }
    }
  }
}

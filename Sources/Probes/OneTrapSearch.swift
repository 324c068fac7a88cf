import Binaries

extension ProbedFile {
  /// Looks into each function that allocates for places where one trap tells all.
  mutating func findOneTrapFunctions(_ entries: [AllocatorImage.Entry], _ elf: ELFFile) {
    let calls = Dictionary(entries.map { ($0.address, $0.call) }) { first, _ in first }
    let sizes = Dictionary(entries.map { ($0.address, $0.size) }) { first, _ in first }
    let dead = DeadCalls(elf)
    // A function that may throw has its sites already.
    let known = Set(oneTrap.map(\.functionAddress))
    for site in sites where site.needsReturn && !known.contains(site.functionAddress) {
      let name = site.names.first ?? "a function"
      do throws(OneTrap.Refusal) {
        let inner = try OneTrap.analyse(
          entry: site.functionAddress, call: site.call, code: { (try? elf.code(at: $0, count: 15)) ?? [] },
          isEntry: { calls[$0] != nil }, isTakenOver: { calls[$0] == site.call },
          neverReturns: dead.contains,
          // What it shares with others by a jump at its end is not its own.
          isOwn: { $0 &- site.functionAddress < sizes[site.functionAddress] ?? 0 })
        let located = inner.compactMap { one in
          elf.fileOffset(ofAddress: site.functionAddress &+ one.offset).map {
            OneTrapFunction.Located(site: one, fileOffset: $0)
          }
        }
        // None are needed where another entry's probe sees the call.
        guard !inner.isEmpty, located.count == inner.count else { continue }
        oneTrap.append(
          OneTrapFunction(
            call: site.call, names: site.names, functionAddress: site.functionAddress,
            entryFileOffset: site.fileOffset, sites: located))
      } catch {
        oneTrapRefusals[name] = error.description
      }
    }
    dropShared()
  }

  /// Functions that share code share sites, and a site tells of one function only.
  private mutating func dropShared() {
    var uses: [UInt64: Int] = [:]
    for function in oneTrap { for site in function.sites { uses[site.fileOffset, default: 0] += 1 } }
    for function in oneTrap
    where !function.mayThrow && function.sites.contains(where: { uses[$0.fileOffset] != 1 }) {
      oneTrapRefusals[function.names.first ?? "a function"] =
        "it shares code with another function that allocates"
    }
    oneTrap.removeAll { !$0.mayThrow && $0.sites.contains { uses[$0.fileOffset] != 1 } }
  }
}

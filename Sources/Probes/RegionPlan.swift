import Binaries
public import Profile

/// Where the functions of the C library that map memory are probed. What maps memory by system calls of its own goes
/// unseen.
public struct RegionPlan: Sendable, Hashable {
  public struct Site: Sendable, Hashable {
    public var call: MappingCall
    /// Offset of the probed instruction in the file in bytes.
    public var fileOffset: UInt64
    public var isEmulated: Bool

    public init(call: MappingCall, fileOffset: UInt64, isEmulated: Bool) {
      self.call = call
      self.fileOffset = fileOffset
      self.isEmulated = isEmulated
    }
  }

  /// A path that opens the very file, also across mount namespaces.
  public var path: String
  /// The path as the target sees it.
  public var displayPath: String
  public var sites: [Site]

  public init(path: String, displayPath: String, sites: [Site]) {
    self.path = path
    self.displayPath = displayPath
    self.sites = sites
  }

  /// Names under which C libraries have them; those of one address are one function.
  private static let names: [(name: String, call: MappingCall)] = [
    ("mmap", .mmap), ("mmap64", .mmap), ("__mmap", .mmap), ("munmap", .munmap), ("__munmap", .munmap),
    ("mremap", .mremap), ("__mremap", .mremap), ("brk", .brk), ("__brk", .brk),
  ]

  /// The functions of the first of the files that has mmap and munmap: the program if it is static, else the C library.
  public static func make(candidates: [PlanCandidate]) -> RegionPlan? {
    for candidate in candidates where candidate.isLibc || candidate.elf.isStaticProgram {
      guard let symbols = try? candidate.elf.symbols(named: Set(names.map(\.name))) else { continue }
      var seen: Set<UInt64> = []
      var sites: [Site] = []
      for (name, call) in names {
        guard let symbol = symbols[name], seen.insert(symbol.address).inserted,
          let code = try? candidate.elf.code(at: symbol.address, count: Int(max(min(symbol.size, 4096), 64)))
        else { continue }
        let chosen: (offset: UInt64, isEmulated: Bool)
        switch EntrySite.choose(code: code, address: symbol.address, argumentCount: call.argumentCount) {
        case .emulated(let offset, _): chosen = (offset, true)
        case .singleStepped(let offset, _, _): chosen = (offset, false)
        case .unprobeable: continue
        }
        guard let offset = candidate.elf.fileOffset(ofAddress: symbol.address &+ chosen.offset) else {
          continue
        }
        sites.append(Site(call: call, fileOffset: offset, isEmulated: chosen.isEmulated))
      }
      let calls = Set(sites.map(\.call))
      guard calls.isSuperset(of: [.mmap, .munmap]) else { continue }
      return RegionPlan(path: candidate.path, displayPath: candidate.displayPath, sites: sites)
    }
    return nil
  }
}

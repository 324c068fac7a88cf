public import Binaries
public import Profile

/// A file of the target that may hold its allocator.
public struct PlanCandidate: Sendable {
  /// A path that opens the very file, also across mount namespaces.
  public var path: String
  /// The path as the target sees it.
  public var displayPath: String
  public var image: AllocatorImage?
  public var elf: ELFFile
  /// The program itself, which comes first when the dynamic linker looks a symbol up.
  public var isExecutable: Bool

  public init(path: String, displayPath: String, image: AllocatorImage?, elf: ELFFile, isExecutable: Bool) {
    self.path = path
    self.displayPath = displayPath
    self.image = image
    self.elf = elf
    self.isExecutable = isExecutable
  }
}

/// One place to put a probe.
public struct ProbeSite: Sendable, Hashable {
  public var call: AllocatorCall
  /// All names of the function.
  public var names: [String]
  /// Offset of the probed instruction in the file, as the kernel wants it.
  public var fileOffset: UInt64
  public var offsetInFunction: UInt64
  public var instruction: String
  /// Whether the kernel emulates the instruction; if not, a hit costs about 15 times as much.
  public var isEmulated: Bool
  /// Why it is not.
  public var reason: String
}

/// Why there is nothing to probe.
public enum PlanError: Error, Sendable, Hashable, CustomStringConvertible {
  case noAllocator(executable: String)
  case sanitizer(path: String)
  case wrongMachine(path: String)
  case unprobeable(path: String, function: String, why: String)

  public var description: String {
    switch self {
    case .noAllocator(let executable):
      "\(executable) and its libraries define no allocator that drip knows (no malloc and free among their symbols); a static binary must not be stripped of its symbol table"
    case .sanitizer(let path):
      "\(path) replaces the allocator by a sanitizer's, which finds leaks itself; run the program without it"
    case .wrongMachine(let path): "\(path) is for another machine than x86-64, which drip cannot probe yet"
    case .unprobeable(let path, let function, let why): "\(function) in \(path) cannot be probed: \(why)"
    }
  }
}

/// Which sites of which file are probed, and why. Pure: from the bytes of the target's files.
public struct ProbePlan: Sendable, Hashable {
  public var path: String
  public var displayPath: String
  public var allocator: AllocatorImage.Kind
  public var sites: [ProbeSite]
  public var notes: [String]

  /// Finds the module whose malloc the program really calls: in the order in which the dynamic linker binds a
  /// symbol, the program itself, then any library but libc (a preloaded or linked allocator), then libc.
  public static func make(candidates: [PlanCandidate]) throws -> ProbePlan {
    let executable = candidates.first(where: \.isExecutable)?.displayPath ?? "the program"
    func rank(_ candidate: PlanCandidate) -> Int {
      if candidate.isExecutable { return 0 }
      return candidate.image?.kind == .glibc || candidate.image?.kind == .musl ? 2 : 1
    }
    let allocators = candidates.filter { $0.image != nil && !isDynamicLinker($0) }
    if let sanitizer = allocators.first(where: { $0.image?.kind == .sanitizer }) {
      throw PlanError.sanitizer(path: sanitizer.displayPath)
    }
    let ordered = allocators.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
    guard let chosen = ordered.first?.element, let image = chosen.image else {
      throw PlanError.noAllocator(executable: executable)
    }
    guard chosen.elf.machine == 62 else { throw PlanError.wrongMachine(path: chosen.displayPath) }
    var plan = ProbePlan(
      path: chosen.path, displayPath: chosen.displayPath, allocator: image.kind, sites: [], notes: [])
    for entry in image.entries { plan.sites.append(try site(entry, in: chosen)) }
    plan.sites.sort { ($0.call.rawValue, $0.fileOffset) < ($1.call.rawValue, $1.fileOffset) }
    for other in ordered.dropFirst() where rank(other.element) < 2 {
      plan.notes.append("\(other.element.displayPath) defines malloc too; it comes later and is not probed")
    }
    return plan
  }

  /// musl's dynamic linker is its libc; glibc's has a malloc for its own first steps, which nobody else calls.
  private static func isDynamicLinker(_ candidate: PlanCandidate) -> Bool {
    candidate.displayPath.split(separator: "/").last?.hasPrefix("ld-linux") == true
  }

  private static func site(_ entry: AllocatorImage.Entry, in candidate: PlanCandidate) throws -> ProbeSite {
    // Sizes come from the file: no more than the largest allocator function anyone has seen.
    let size = Int(min(max(entry.size, 16), 65_536))
    let code = try candidate.elf.code(at: entry.address, count: size)
    guard let start = candidate.elf.fileOffset(ofAddress: entry.address) else {
      throw PlanError.unprobeable(
        path: candidate.displayPath, function: entry.names[0], why: "its address is not in the file")
    }
    var site = ProbeSite(
      call: entry.call, names: entry.names, fileOffset: start, offsetInFunction: 0, instruction: "",
      isEmulated: false, reason: "")
    switch EntrySite.choose(code: code, address: entry.address, argumentCount: entry.call.argumentCount) {
    case .emulated(let offset, let instruction):
      site.fileOffset = start + offset
      site.offsetInFunction = offset
      site.instruction = instruction
      site.isEmulated = true
    case .singleStepped(let instruction, let why):
      site.instruction = instruction
      site.reason = why
    case .impossible(let why):
      throw PlanError.unprobeable(path: candidate.displayPath, function: entry.names[0], why: why)
    }
    return site
  }
}

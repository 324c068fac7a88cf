import Binaries
import Profile

/// Which sites of which files are probed, and why. Pure: from the bytes of the target's files.
public struct ProbePlan: Sendable, Hashable {
  /// The file whose malloc the program calls comes first; then those with a private allocator beside it.
  public var files: [ProbedFile]
  /// Files that tell of their allocator's own samples. Where there are any, `files` is empty.
  public var usdt: [TracedFile]
  /// Where mapped memory is seen; nil if no C library's functions for it were found, or none were asked for.
  public var regions: RegionPlan?
  /// Where the dynamic linker tells of libraries; nil without one.
  public var linker: LinkerPlan?
  /// What a reader should know: other allocators in the process, functions that go unseen.
  public var notes: [String]

  /// A file with the trace points of the OpenTelemetry profiler's contract.
  public struct TracedFile: Sendable, Hashable {
    /// A path that opens the very file, also across mount namespaces.
    public var path: String
    /// The path as the target sees it.
    public var displayPath: String
    public var plan: USDTPlan

    public init(path: String, displayPath: String, plan: USDTPlan) {
      self.path = path
      self.displayPath = displayPath
      self.plan = plan
    }
  }

  public init(files: [ProbedFile], usdt: [TracedFile] = [], notes: [String] = []) {
    self.files = files
    self.usdt = usdt
    self.notes = notes
  }

  /// The same plan for another process with the same files: those that were opened by the keys' paths are opened by
  /// the values' there.
  public func opened(by paths: [String: String]) -> ProbePlan {
    var plan = self
    for index in files.indices { plan.files[index].path = paths[files[index].path] ?? files[index].path }
    for index in usdt.indices { plan.usdt[index].path = paths[usdt[index].path] ?? usdt[index].path }
    if let regions { plan.regions?.path = paths[regions.path] ?? regions.path }
    if let linker { plan.linker?.path = paths[linker.path] ?? linker.path }
    return plan
  }

  /// Of this plan, made later for the same process, the files of which the earlier one had none: libraries with an
  /// allocator of their own that were loaded meanwhile. Which malloc the program calls does not change by that.
  public func additions(to earlier: ProbePlan) -> [ProbedFile] {
    files.filter { file in !earlier.files.contains { $0.displayPath == file.displayPath } }
  }

  /// Whether a plan may be another one with this file than without it.
  public static func depends(on candidate: PlanCandidate) -> Bool {
    if candidate.isExecutable || candidate.isLibc || !candidate.images.isEmpty { return true }
    if LinkerPlan.make(candidates: [candidate]) != nil { return true }
    if (try? USDTPlan.make(elf: candidate.elf)).flatMap(\.self) != nil { return true }
    return !AllocatorImage.unfollowedFunctions(calledBy: candidate.elf).isEmpty
  }

  /// The entry points of all files.
  public var sites: [ProbeSite] { files.flatMap(\.sites) }

  /// Finds the module whose malloc the program really calls: where the C library's own calls are known to lead,
  /// else in the order in which the dynamic linker binds a symbol: the program itself, then any library but libc
  /// in the order given, then libc. All of its functions are probed. Of the modules behind it, those functions are
  /// whose names no module before them has: the own interface of a second allocator, `operator new` behind an
  /// allocator for C. Where libc's allocator is replaced by a known one, nobody calls it. Private allocators come
  /// last, and all of theirs are probed.
  public static func make(candidates: [PlanCandidate]) throws(PlanError) -> ProbePlan {
    if let traced = traced(candidates) { return traced }
    let ordered = candidates.enumerated()
      .filter { $0.element.image != nil }
      .sorted { ($0.element.lookupRank, $0.offset) < ($1.element.lookupRank, $1.offset) }
      .map(\.element)
    if let first = ordered.first, first.image?.kind == .sanitizer {
      throw .sanitizer(path: first.displayPath)
    }

    var plan = ProbePlan(files: [])
    var bound: Set<String> = []
    for (rank, candidate) in ordered.enumerated() {
      guard let image = candidate.image else { continue }
      let unbound = image.entries.filter { !bound.isSuperset(of: $0.names) }
      bound.formUnion(image.entries.flatMap(\.names))
      if rank == 0 {
        try plan.add(image.entries, of: image, in: candidate)
      } else if candidate.isLibc {
        plan.notes += Self.unwrapped(unbound, candidate, ordered[0])
      } else {
        // Some functions of an allocator are no allocator: its blocks must be seen to come and to go.
        let isComplete = unbound.contains { $0.call == .free } && unbound.contains { $0.call != .free }
        plan.notes.append(
          "\(candidate.displayPath) defines malloc too, but comes after \(ordered[0].displayPath)"
            + (isComplete ? "; only its own functions are probed" : " and is not probed"))
        if isComplete { try plan.add(unbound, of: image, in: candidate) }
      }
    }
    for candidate in candidates {
      for image in candidate.images where image.isPrivate {
        try plan.add(image.entries, of: image, in: candidate)
      }
    }
    plan.addUnfollowed(candidates)
    guard !plan.files.isEmpty else {
      let executable = candidates.first(where: \.isExecutable)
      throw .noAllocator(
        executable: executable?.displayPath ?? "the program",
        isStatic: executable?.elf.isStaticProgram ?? false, isStripped: executable?.elf.isStripped ?? false)
    }
    return plan
  }

  /// A plan for all allocators of files that the user has named, and for no others.
  public static func make(named candidates: [PlanCandidate]) throws(PlanError) -> ProbePlan {
    var plan = ProbePlan(files: [])
    for candidate in candidates {
      for image in candidate.images { try plan.add(image.entries, of: image, in: candidate) }
    }
    return plan
  }

  /// Programs with a sampler of their own are read through that: it costs them samples only.
  private static func traced(_ candidates: [PlanCandidate]) -> ProbePlan? {
    let files = candidates.compactMap { candidate in
      (try? USDTPlan.make(elf: candidate.elf)).flatMap(\.self).map {
        TracedFile(path: candidate.path, displayPath: candidate.displayPath, plan: $0)
      }
    }
    guard !files.isEmpty else { return nil }
    let names = files.map(\.displayPath).joined(separator: ", ")
    return ProbePlan(
      files: [], usdt: files,
      notes: [
        "\(names) samples its own allocations (otel_memory): objects are samples, bytes what they stand for, and "
          + "what is not sampled is not seen"
      ])
  }

  private mutating func addUnfollowed(_ candidates: [PlanCandidate]) {
    guard files.contains(where: { $0.allocator == .mimalloc }) else { return }
    for candidate in candidates where !candidate.images.contains(where: { $0.kind == .mimalloc }) {
      let names = AllocatorImage.unfollowedFunctions(calledBy: candidate.elf)
      guard !names.isEmpty else { continue }
      notes.append(
        "\(candidate.displayPath) calls \(names.joined(separator: ", ")), which drip cannot follow: what they "
          + "allocate is not seen, and what they free looks outstanding")
    }
  }

  /// What libc has and the allocator in front of it lacks. A known allocator has all that is used; a wrapper of
  /// libc's lets the rest pass by itself.
  private static func unwrapped(
    _ unbound: [AllocatorImage.Entry], _ libc: PlanCandidate, _ first: PlanCandidate
  ) -> [String] {
    // glibc's reallocarray calls realloc by its name.
    let names = unbound.filter { $0.call != .reallocarray }.compactMap(\.names.first)
    guard first.image?.kind == .unknown, !names.isEmpty else { return [] }
    return [
      "\(first.displayPath) does not define \(names.joined(separator: ", ")): calls of it go to "
        + "\(libc.displayPath) and are not seen"
    ]
  }

  private mutating func add(
    _ entries: [AllocatorImage.Entry], of image: AllocatorImage, in candidate: PlanCandidate
  ) throws(PlanError) {
    var file = ProbedFile(
      path: candidate.path, displayPath: candidate.displayPath, allocator: image.kind,
      isPrivate: image.isPrivate)
    for entry in entries { try add(entry, of: candidate, to: &file) }
    // Two allocators of one file may share a function: no probe stands twice at one place.
    for known in files where known.path == file.path {
      file.sites.removeAll { site in known.sites.contains { $0.fileOffset == site.fileOffset } }
    }
    file.sites.sort { ($0.call.rawValue, $0.fileOffset) < ($1.call.rawValue, $1.fileOffset) }
    file.findOneTrapFunctions(entries, candidate.elf)
    if !file.sites.isEmpty { files.append(file) }
  }

  private mutating func add(
    _ entry: AllocatorImage.Entry, of candidate: PlanCandidate, to file: inout ProbedFile
  ) throws(PlanError) {
    let name = entry.names.first ?? "a function"
    do throws(Unusable) {
      let site = try Self.site(entry, in: candidate.elf)
      // Functions without a size may run into one another.
      guard !file.sites.contains(where: { $0.fileOffset == site.fileOffset }) else { return }
      if entry.mayThrow {
        guard let function = Self.throwingFunction(entry, site, in: candidate.elf) else {
          throw Unusable.unprobeable(
            "it may throw an exception, and not all of its ways to return are known")
        }
        file.oneTrap.append(function)
      }
      file.sites.append(site)
    } catch {
      switch error {
      case .unreadable(let error): throw .unreadable(path: candidate.displayPath, error)
      case .unprobeable(let why):
        // Without malloc and free there is nothing to say; the rest is seldom called, and its absence is told.
        guard !entry.names.contains("malloc"), !entry.names.contains("free") else {
          throw .unprobeable(path: candidate.displayPath, function: name, why: why)
        }
        notes.append(
          entry.call == .free
            ? "\(name) cannot be probed, and what it frees will look outstanding: \(why)"
            : "\(name) cannot be probed, and what it allocates will not be seen: \(why)")
      }
    }
  }

  /// The size is kept at the entry, the result is known at each return instruction. A return is single-stepped, so
  /// this is dear; better sites inside may take its place.
  private static func throwingFunction(
    _ entry: AllocatorImage.Entry, _ site: ProbeSite, in elf: ELFFile
  ) -> OneTrapFunction? {
    guard entry.call == .malloc, let returns = elf.returns(ofFunctionAt: entry.address) else { return nil }
    // rdi, rax, rbp. Neither at the entry's site nor at a return has the stack moved.
    var sites = [
      OneTrapFunction.Located(
        site: OneTrapSite(
          role: .remember, offset: site.offsetInFunction, instruction: site.instruction, edge: nil,
          result: nil,
          size: .register(7), frameBytes: 8, callerFramePointer: .register(5)),
        fileOffset: site.fileOffset)
    ]
    for address in returns {
      guard let offset = elf.fileOffset(ofAddress: address) else { return nil }
      sites.append(
        OneTrapFunction.Located(
          site: OneTrapSite(
            role: .leave, offset: address &- entry.address, instruction: "ret", edge: nil,
            result: .register(0),
            size: nil, frameBytes: 8, callerFramePointer: .register(5)),
          fileOffset: offset))
    }
    return OneTrapFunction(
      call: entry.call, names: entry.names, functionAddress: entry.address, entryFileOffset: site.fileOffset,
      mayThrow: true, sites: sites)
  }

  private enum Unusable: Error {
    case unreadable(BinaryError)
    case unprobeable(String)
  }

  /// Symbols without a size are taken for this many bytes.
  private static let unsized: UInt64 = 256
  /// More code than any allocator function has; a hostile file says what it likes.
  private static let largestFunction: UInt64 = 65_536

  private static func site(_ entry: AllocatorImage.Entry, in elf: ELFFile) throws(Unusable) -> ProbeSite {
    let size = min(entry.size == 0 ? unsized : entry.size, largestFunction)
    let code: [UInt8]
    do throws(BinaryError) { code = try elf.code(at: entry.address, count: Int(size)) } catch {
      throw .unreadable(error)
    }
    let chosen: (offset: UInt64, instruction: String, why: String?)
    switch EntrySite.choose(code: code, address: entry.address, argumentCount: entry.call.argumentCount) {
    case .emulated(let offset, let instruction): chosen = (offset, instruction, nil)
    case .singleStepped(let offset, let instruction, let why): chosen = (offset, instruction, why)
    case .unprobeable(let why): throw .unprobeable(why)
    }
    guard let fileOffset = elf.fileOffset(ofAddress: entry.address &+ chosen.offset) else {
      throw .unprobeable("its code is not in the file")
    }
    return ProbeSite(
      call: entry.call, names: entry.names, functionAddress: entry.address, fileOffset: fileOffset,
      offsetInFunction: chosen.offset, instruction: chosen.instruction, isEmulated: chosen.why == nil,
      reason: chosen.why ?? "")
  }
}

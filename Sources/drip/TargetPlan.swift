import Binaries
import Glibc
import Probes
import Processes
import Profile

/// Finds the allocators that a process uses and where to probe them. What was found in a file, and for a set of files,
/// is kept: the next process with the same C library need not wait while that is disassembled again.
final class TargetPlan {
  /// A file of a process as far as a plan depends on it.
  private struct Part: Hashable {
    let file: FileBytes.Identity
    let displayPath: String
    let isExecutable: Bool
    let isBound: Bool
  }

  /// What is known of a file.
  private struct Known {
    let elf: ELFFile
    let images: [AllocatorImage]
    /// A plan may depend on it; most libraries make no difference.
    let matters: Bool
  }

  private var files: [FileBytes.Identity: Known] = [:]
  private var plans: [[Part]: (plan: ProbePlan, paths: [String])] = [:]
  /// More than any host's programs and libraries; a hostile one may make files without end.
  private static let most = 1024

  /// `allocators` are files that the user names, each perhaps with a colon and a prefix behind it; if there are
  /// none, the allocators are looked for.
  func make(for target: TargetProcess, allocators: [String] = []) throws -> ProbePlan {
    let pid = target.identity.pid
    let modules = MemoryMap.modules(try MemoryMap.read(pid: pid)).filter(\.isExecutable)
    guard allocators.isEmpty else {
      return try ProbePlan.make(named: allocators.map { try Self.named($0, modules, pid: pid) })
    }
    var candidates: [PlanCandidate] = []
    var found: [MappedModule] = []
    var identities: [FileBytes.Identity] = []
    for module in modules {
      let isMain = module.path == target.identity.executable
      do {
        let (path, bytes) = try Self.bytes(module, pid: pid)
        let known = try known(bytes)
        guard known.matters || isMain else { continue }
        candidates.append(
          PlanCandidate(
            path: path, displayPath: module.path, images: known.images, elf: known.elf, isExecutable: isMain))
        identities.append(bytes.identity)
        found.append(module)
      } catch BinaryError.thirtyTwoBit where isMain {
        throw ProcessError.thirtyTwoBit(pid: pid, executable: module.path)
      } catch  where isMain {
        // What the program itself is must be known; a library that cannot be read is passed over.
        throw Failure(.cannotAttach, "\(displayable(module.path)): \(error)")
      } catch {
        // A mapped file that is no ELF file (a font, a data base) defines no allocator.
        continue
      }
    }
    Self.markBound(&candidates, found, pid: pid)
    let parts = zip(candidates, identities).map {
      Part(file: $1, displayPath: $0.displayPath, isExecutable: $0.isExecutable, isBound: $0.isBound)
    }
    let paths = candidates.map(\.path)
    if let known = plans[parts] {
      return known.plan.opened(
        by: Dictionary(zip(known.paths, paths), uniquingKeysWith: { first, _ in first }))
    }
    var plan = try ProbePlan.make(candidates: candidates)
    plan.regions = RegionPlan.make(candidates: candidates)
    plan.linker = LinkerPlan.make(candidates: candidates)
    if plans.count >= Self.most { plans = [:] }
    plans[parts] = (plan, paths)
    return plan
  }

  private func known(_ bytes: FileBytes) throws -> Known {
    if let known = files[bytes.identity] { return known }
    let elf = try ELFFile(bytes)
    let images = try AllocatorImage.images(in: elf)
    let candidate = PlanCandidate(path: "", displayPath: "", images: images, elf: elf, isExecutable: false)
    let made = Known(elf: elf, images: images, matters: ProbePlan.depends(on: candidate))
    if files.count >= Self.most { files = [:] }
    files[bytes.identity] = made
    return made
  }

  static func open(_ module: MappedModule, pid: Int32) throws -> (path: String, elf: ELFFile) {
    let (path, bytes) = try bytes(module, pid: pid)
    return (path, try ELFFile(bytes))
  }

  private static func bytes(_ module: MappedModule, pid: Int32) throws -> (path: String, bytes: FileBytes) {
    guard let mapping = module.mappings.first else {
      throw ProcessError.unreadable(pid: pid, path: module.path, code: ENOENT)
    }
    let path = try MemoryMap.openableFile(pid: pid, mapping: mapping)
    return (path, try FileBytes(path: path))
  }

  /// Where several files could serve malloc, asks the process which one does: the slots through which the C library
  /// itself calls malloc and its kin hold the address that the dynamic linker has chosen.
  private static func markBound(_ candidates: inout [PlanCandidate], _ modules: [MappedModule], pid: Int32) {
    guard candidates.count(where: { $0.image != nil }) > 1, let libc = candidates.firstIndex(where: \.isLibc),
      let bias = bias(of: modules[libc], candidates[libc].elf)
    else { return }
    let slots = candidates[libc].elf.importSlots(of: ["malloc", "calloc", "realloc", "free"]).values.joined()
    let targets = Set(slots.compactMap { ProcessMemory.word(pid: pid, at: bias &+ $0) })
    for index in candidates.indices {
      guard let image = candidates[index].image,
        let bias = Self.bias(of: modules[index], candidates[index].elf)
      else { continue }
      candidates[index].isBound = image.entries.contains { targets.contains(bias &+ $0.address) }
    }
  }

  /// What is added to an address of the file to have the one in the process.
  static func bias(of module: MappedModule, _ elf: ELFFile) -> UInt64? {
    guard let mapping = module.mappings.first(where: { $0.permissions.contains(.execute) }),
      let address = elf.address(ofFileOffset: mapping.fileOffset)
    else { return nil }
    return mapping.start &- address
  }

  /// A file that the user names as the target sees it or as drip sees it.
  private static func named(
    _ argument: String, _ modules: [MappedModule], pid: Int32
  ) throws -> PlanCandidate {
    var path = argument
    var prefix = ""
    var module = modules.first { isFile($0, argument) }
    if module == nil, let colon = argument.lastIndex(of: ":") {
      path = String(argument[..<colon])
      prefix = String(argument[argument.index(after: colon)...])
      module = modules.first { isFile($0, path) }
    }
    guard let module else {
      throw Failure(
        .cannotAttach,
        "--allocator \(displayable(path)): process \(pid) has not mapped this file as code. What it has mapped "
          + "stands in /proc/\(pid)/maps.")
    }
    do {
      let (opened, elf) = try open(module, pid: pid)
      if let image = try AllocatorImage.image(in: elf, prefix: prefix) {
        return PlanCandidate(
          path: opened, displayPath: module.path, images: [image], elf: elf, isExecutable: false)
      }
      let stripped = elf.isStripped ? " It has no full symbol table, so only what it exports is known." : ""
      throw Failure(
        .cannotAttach,
        "--allocator \(displayable(path)): the file defines no \(displayable(prefix))malloc or similar with a "
          + "\(displayable(prefix))free.\(stripped)")
    } catch let error as BinaryError {
      throw Failure(.cannotAttach, "--allocator \(displayable(path)): \(error)")
    }
  }

  private static func isFile(_ module: MappedModule, _ path: String) -> Bool {
    if module.path == path { return true }
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    return MemoryMap.isSame(device: UInt64(status.st_dev), inode: UInt64(status.st_ino), module)
  }
}

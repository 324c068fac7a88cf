import Binaries
import Probes
import Processes
import Profile

/// Finds the allocator that a process uses and where to probe it.
enum TargetPlan {
  static func make(for target: TargetProcess) throws -> ProbePlan {
    let pid = target.identity.pid
    let mappings = try MemoryMap.read(pid: pid)
    var candidates: [PlanCandidate] = []
    for module in MemoryMap.modules(mappings) where module.isExecutable {
      guard let mapping = module.mappings.first else { continue }
      let isMain = module.path == target.identity.executable
      do {
        let path = try MemoryMap.openableFile(pid: pid, mapping: mapping)
        let elf = try ELFFile(try FileBytes(path: path))
        candidates.append(
          PlanCandidate(
            path: path, displayPath: module.path, image: try AllocatorImage(elf), elf: elf,
            isExecutable: isMain))
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
    return try ProbePlan.make(candidates: candidates)
  }
}

import CProbes
import Libbpf
import Processes
import Profile

/// Libraries that come and go.
extension LiveCapture {
  /// Told modules that are kept for whoever asks.
  private static let mostModules = 4096

  /// Readable when code has come or gone in a process: `maintain` then sees it.
  public var wakeDescriptor: CInt { kernel.wakeDescriptor }

  /// How often the dynamic linker of each process has told of changes.
  public var linkerChanges: [Int: UInt32] { traced.mapValues { kernel.linkerChanges($0.slot) } }

  /// Takes over what the dynamic linkers have told, and opens the files that were loaded.
  func readLinkers() {
    var told: [LoadedModule] = []
    // A failure leaves what is there for the next time.
    try? kernel.forEachLinkerEvent { if !$0.path.isEmpty { told.append($0) } }
    var seen: Set<String> = []
    for module in told {
      if loadedModules.count < Self.mostModules { loadedModules.append(module) }
      guard let one = traced[module.process], module.path.first == UInt8(ascii: "/") else { continue }
      let path = String(decoding: module.path, as: UTF8.self)
      let pid = one.process.identity.pid
      if seen.insert("\(pid)" + path).inserted { library.open(path: path, pid: pid) }
    }
  }

  /// The libraries that have come since the last call, in their order, also those that have gone again.
  public func takeLoadedModules() -> [LoadedModule] {
    defer { loadedModules = [] }
    return loadedModules
  }
}

import CProbes
import Libbpf

/// Libraries that come and go.
extension LiveCapture {
  /// Told modules that are kept for whoever asks.
  private static let mostModules = 4096

  /// Readable when code has come or gone in a process: `maintain` then sees it.
  public var wakeDescriptor: CInt { kernel.wakeDescriptor }

  /// Takes over what the dynamic linkers have told.
  func readLinkers() {
    // A failure leaves what is there for the next time.
    try? kernel.forEachLinkerEvent { module in
      if !module.path.isEmpty, loadedModules.count < Self.mostModules { loadedModules.append(module) }
    }
  }

  /// The libraries that have come since the last call, in their order, also those that have gone again.
  public func takeLoadedModules() -> [LoadedModule] {
    defer { loadedModules = [] }
    return loadedModules
  }
}

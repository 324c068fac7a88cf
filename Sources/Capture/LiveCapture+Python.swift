import CProbes
import Libbpf
import Profile

/// The frames of CPython 3.11 (experimental).
extension LiveCapture {
  /// From now on the stacks of this process have its Python frames: `runtime` is where its `_PyRuntime` lies.
  public func follow(_ number: Int, python runtime: UInt64) {
    guard let one = traced[number] else { return }
    follow(slot: one.slot, python: runtime)
  }

  func follow(slot: Int, python runtime: UInt64?) {
    let current = runtime.map { $0 &+ UInt64(DRIP_PYTHON_RUNTIME_CURRENT.rawValue) } ?? 0
    kernel.pythons.withMutableElements(UInt64.self) { $0[slot] = current }
  }

  /// Sites that have come since the last call and have Python frames, with those, innermost first.
  public func newPythonStacks() -> [(site: UInt32, process: Int, words: [UInt64])] {
    let capacity = kernel.layout.sites
    let found = kernel.sites.withElements(drip_site.self) { sites in
      (0..<capacity).compactMap { index -> (site: UInt32, process: Int)? in
        // 0: its frames are not stored yet.
        guard sites[index].hash != 0, sites[index].end != 0 else { return nil }
        return (UInt32(index), Int(sites[index].process))
      }
    }
    return found.compactMap { site, process in
      guard toldPython.insert(site).inserted else { return nil }
      let words = stack(of: site).addresses.prefix { $0 >> UInt64(DRIP_PYTHON_MARK.rawValue) == 1 }
      return words.isEmpty ? nil : (site, process, Array(words))
    }
  }
}

import Binaries
import Capture
import Processes
import Profile
import Symbolication

/// Names the Python frames of new call stacks at once: code objects come and go, and so do processes.
final class PythonNames {
  enum Search {
    /// Where `_PyRuntime` lies.
    case found(UInt64)
    /// Why there is nothing to follow.
    case none(String)
  }

  private struct Interpreter {
    /// Where the type of all code objects lies.
    var codeType: UInt64
    /// By address, with the bytes by which the object is known to be the same still.
    var codes: [UInt64: (header: [UInt8], code: PythonCode)] = [:]
  }

  private var interpreters: [Int: Interpreter] = [:]
  private var stacks: [UInt32: [PythonFrame]] = [:]

  /// The Python frames of a site, innermost first.
  func stack(of site: UInt32) -> [PythonFrame]? { stacks[site] }

  /// Looks for CPython 3.11 in a process.
  func find(_ pid: Int32, number: Int) -> Search {
    let modules = ((try? MemoryMap.read(pid: pid)).map(MemoryMap.modules) ?? []).filter(\.isExecutable)
    for module in modules {
      let name = module.path.split(separator: "/").last ?? ""
      guard name.hasPrefix("python") || name.hasPrefix("libpython"),
        let elf = try? TargetPlan.open(module, pid: pid).elf, let bias = TargetPlan.bias(of: module, elf),
        let symbols = try? elf.symbols(named: ["_PyRuntime", "PyCode_Type", "Py_Version"], isData: true),
        let runtime = symbols["_PyRuntime"], let type = symbols["PyCode_Type"]
      else { continue }
      // Include/patchlevel.h: 3.11.2 final is 0x030b02f0. Before 3.11 there was no such variable.
      let version =
        symbols["Py_Version"].flatMap { ProcessMemory.word(pid: pid, at: bias &+ $0.address) } ?? 0
      guard version >> 16 == 0x030b else {
        return .none("its Python is not CPython 3.11: only native frames are shown")
      }
      interpreters[number] = Interpreter(codeType: bias &+ type.address)
      return .found(bias &+ runtime.address)
    }
    return .none("no CPython 3.11 was found in it: only native frames are shown")
  }

  /// Reads the names for what has come since the last call.
  func learn(_ capture: LiveCapture, _ running: [Int: TargetProcess]) async {
    for (site, number, words) in await capture.newPythonStacks() {
      stacks[site] = words.map { word in
        let frame = PythonFrame(word: word)
        guard let target = running[number] else { return frame }
        return code(frame.code, number, target).map(frame.named) ?? frame
      }
    }
  }

  private func code(_ address: UInt64, _ number: Int, _ target: TargetProcess) -> PythonCode? {
    let pid = target.identity.pid
    let memory: PythonCode.Memory = { ProcessMemory.bytes(pid: pid, at: $0, count: $1) }
    guard let type = interpreters[number]?.codeType, var header = PythonCode.header(at: address, memory)
    else {
      return nil
    }
    // The reference count and the warm-up counter change all the time.
    for index in [0..<8, 52..<54].joined() { header[index] = 0 }
    if let known = interpreters[number]?.codes[address], known.header == header { return known.code }
    // A number may be another process's by now: what was read then is not taken.
    guard let code = PythonCode(header: header, type: type, memory), !target.hasExited else { return nil }
    interpreters[number]?.codes[address] = (header, code)
    return code
  }
}

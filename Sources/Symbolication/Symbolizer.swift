internal import CSymbolShims
public import Profile

/// Names the addresses of one process: functions, inlined calls, files and lines.
///
/// Files are opened through /proc/PID, so deleted files and other mount namespaces work. Opening is
/// cheap; symbols and debug information of a file are read when an address in it is first asked for.
/// What was opened keeps working after the target's exit. Everything read is taken to be hostile: text
/// is cleaned before it gets into a frame, and a broken file costs names, never the program.
///
/// Belongs to one task or actor at a time.
public final class Symbolizer {
  private let target: TargetFiles
  private let store: SymbolStore
  private var history = MappingHistory()
  private var loaded = LoadedLibraries()
  private let perfMap: PerfMapFile
  private var opened: [SymbolMapping: Module] = [:]
  /// What an address means depends on what lay there.
  private var cache: [Place: [Frame]] = [:]
  /// Mapped files that could not be read, each path once.
  public private(set) var unreadable: [UnreadableModule] = []

  /// Keeps the memory of a long watch bounded.
  private static let maximumCached = 200_000

  /// A mapping's file; without one if it could not be read.
  private struct Module {
    var path: String
    var file: SymbolFile?
  }

  private struct Place: Hashable {
    let address: UInt64
    let mapping: SymbolMapping
  }

  /// Symbols of the process with this id, which should be alive at this moment.
  public init(pid: Int32, store: SymbolStore = SymbolStore()) {
    target = TargetFiles(pid: pid)
    perfMap = PerfMapFile(target: target)
    self.store = store
  }

  /// Grows with each change of the memory map. Whoever keeps the epoch in which an address was first seen can have it
  /// named by what lay there then.
  public var epoch: Int { history.epoch }

  /// What a reader of the names should know about where they come from.
  public var notes: [String] { [perfMap.note].compactMap { $0 } }

  /// Takes over the process's memory map. What was mapped before is remembered: stacks taken before point into it.
  public func update(mappings: [SymbolMapping]) {
    perfMap.lookAgain()
    let before = history.epoch
    history.update(mappings)
    guard history.epoch != before else { return }
    let known = history.mappings
    opened = opened.filter { known.contains($0.key) || loaded.contains($0.key) }
  }

  /// Opens the file of every executable mapping, without reading symbols, so that addresses in them can
  /// be named even after the target has exited.
  public func preload() {
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    for entry in history.current where entry.mapping.executable { _ = module(of: entry.mapping) }
  }

  /// Takes over that the dynamic linker has loaded a library, at one of the changes that it told of. `base` is the
  /// address in memory minus the virtual address in the file. Does nothing if the file is not to be had.
  public func learn(path: String, base: UInt64, change: UInt32) {
    guard path.hasPrefix("/"), let opened = target.openInRoot(path) else { return }
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    guard let identity = try? SymbolFile.Identity(opened),
      let file = try? store.open(opened, path: path, target: target)
    else { return }
    let page: UInt64 = 4096
    for segment in file.segments where segment.executable {
      let mapping = SymbolMapping(
        start: base &+ segment.address & ~(page - 1),
        end: (base &+ segment.address &+ segment.size &+ page - 1) & ~(page - 1),
        fileOffset: segment.fileOffset & ~(page - 1), executable: true, path: path, device: identity.device,
        inode: identity.inode)
      loaded.add(mapping, change: change)
      self.opened[mapping] = Module(path: path, file: file)
    }
  }

  /// The frames at a return address, innermost first: the calls that were inlined, then the function
  /// itself. Never empty; what cannot be named has at least its address. Named by what lies there now, or in the
  /// given epoch; or by the library that the dynamic linker had loaded there at one of its changes, which tells what
  /// came and went between two epochs.
  public func frames(for returnAddress: UInt64, in epoch: Int? = nil, change: UInt32 = 0) -> [Frame] {
    // The call is before the address to which it returns, which may belong to the next line or function.
    let call = returnAddress &- 1
    let mapped =
      loaded.mapping(at: call, change: change) ?? history.mapping(at: call, in: epoch ?? history.epoch)
    // Generated code comes and goes, so its names are not cached.
    let mayBeGenerated = mapped?.mayBeGenerated ?? true
    if mayBeGenerated, returnAddress > 0, let name = perfMap.name(at: call) {
      return [Frame(address: returnAddress, function: name)]
    }
    guard returnAddress > 0, let mapping = mapped else { return [Frame(address: returnAddress)] }
    let place = Place(address: returnAddress, mapping: mapping)
    if let known = cache[place] { return known }
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    let result = resolve(returnAddress, call, mapping)
    if mayBeGenerated { return result }
    if cache.count >= Self.maximumCached { cache.removeAll(keepingCapacity: true) }
    cache[place] = result
    return result
  }

  private func resolve(_ returnAddress: UInt64, _ call: UInt64, _ mapping: SymbolMapping) -> [Frame] {
    if mapping.path == "[vdso]" {
      return [Frame(address: returnAddress, module: "[vdso]", offset: returnAddress - mapping.start)]
    }
    guard let module = module(of: mapping) else { return [Frame(address: returnAddress)] }
    guard let file = module.file else {
      let offset = returnAddress &- mapping.start &+ mapping.fileOffset
      return [Frame(address: returnAddress, module: SafeText.clean(module.path), offset: offset)]
    }

    let address = file.virtualAddress(of: call, in: mapping)
    let symbol = file.functionName(at: address)
    var scopes = file.lines.scopes(at: address, isNamed: symbol != nil)
    if scopes.isEmpty { scopes = [LineInfo.Scope(name: nil, position: LineInfo.Position())] }
    let path = SafeText.clean(module.path)
    return scopes.indices.map { index in
      let physical = index == scopes.count - 1
      return Frame(
        // The symbol table knows the public one of several names; DWARF knows one only.
        address: returnAddress, function: physical ? symbol ?? scopes[index].name : scopes[index].name,
        module: path, buildID: file.buildID, offset: address &+ 1, file: scopes[index].position.file,
        line: scopes[index].position.line, inlined: !physical)
    }
  }

  /// Finds the file to whose data an address belongs, and where in it that is. The file may be unreadable.
  func withFile<Value>(ofDataAt address: UInt64, _ body: (SymbolFile?, String, UInt64) -> Value) -> Value? {
    // The nearest file's mapping at or below the address, with nothing but anonymous memory between.
    let below = history.current.last { $0.mapping.start <= address && $0.mapping.filePath != nil }
    guard let mapping = below?.mapping else { return nil }
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    guard let module = module(of: mapping) else { return nil }
    guard let file = module.file else {
      return address < mapping.end ? body(nil, module.path, address) : nil
    }
    let location = file.virtualAddress(of: mapping.start, in: mapping) &+ (address - mapping.start)
    guard file.segments.contains(where: { location &- $0.address < $0.size }) else { return nil }
    return body(file, module.path, location)
  }

  /// The file of a mapping, opened now if it was not before; nil for memory without a file.
  private func module(of mapping: SymbolMapping) -> Module? {
    if let known = opened[mapping] { return known }
    guard let path = mapping.filePath else { return nil }
    var module = Module(path: path)
    do throws(OpenFailure) {
      module.file = try store.open(try target.open(mapping, path: path), path: path, target: target)
    } catch {
      let entry = UnreadableModule(path: SafeText.clean(path), reason: error.reason)
      if !unreadable.contains(where: { $0.path == entry.path }) { unreadable.append(entry) }
    }
    opened[mapping] = module
    return module
  }
}

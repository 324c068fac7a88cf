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
  private let perfMap: PerfMapFile
  /// Sorted by address and free of overlaps.
  private var mappings: [SymbolMapping] = []
  private var opened: [SymbolMapping: Module] = [:]
  private var files: [SymbolFile.Identity: SymbolFile] = [:]
  private var cache: [UInt64: [Frame]] = [:]
  /// Mapped files that could not be read, each path once.
  public private(set) var unreadable: [UnreadableModule] = []

  /// More mappings than this that are gone from the target are forgotten.
  private static let maximumFormer = 8192
  /// Keeps the memory of a long watch bounded.
  private static let maximumCached = 200_000

  /// A mapping's file; without one if it could not be read.
  private struct Module {
    var path: String
    var file: SymbolFile?
  }

  /// Symbols of the process with this id, which should be alive at this moment.
  public init(pid: Int32) {
    target = TargetFiles(pid: pid)
    perfMap = PerfMapFile(target: target)
  }

  /// What a reader of the names should know about where they come from.
  public var notes: [String] { [perfMap.note].compactMap { $0 } }

  /// Takes over the process's memory map. Mappings that are gone are remembered as long as nothing new
  /// lies in their place: stacks taken before still point into them.
  public func update(mappings new: [SymbolMapping]) {
    perfMap.lookAgain()
    var result: [SymbolMapping] = []
    for mapping in new.sorted(by: { $0.start < $1.start }) where mapping.start < mapping.end {
      if let last = result.last, last.overlaps(mapping) { continue }
      result.append(mapping)
    }
    let known = Set(result)
    let former = mappings.filter { old in
      !known.contains(old) && old.filePath != nil && old.executable && !Self.overlap(old, in: result)
    }
    let changed = mappings.contains { !known.contains($0) } || known.count != mappings.count
    mappings = (result + former.suffix(Self.maximumFormer)).sorted { $0.start < $1.start }
    guard changed else { return }
    let present = Set(mappings)
    opened = opened.filter { present.contains($0.key) }
    let used = Set(opened.values.compactMap { $0.file.map(ObjectIdentifier.init) })
    files = files.filter { used.contains(ObjectIdentifier($0.value)) }
    cache.removeAll(keepingCapacity: true)
  }

  /// Opens the file of every executable mapping, without reading symbols, so that addresses in them can
  /// be named even after the target has exited.
  public func preload() {
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    for mapping in mappings where mapping.executable { _ = module(of: mapping) }
  }

  /// The frames at a return address, innermost first: the calls that were inlined, then the function
  /// itself. Never empty; what cannot be named has at least its address.
  public func frames(for returnAddress: UInt64) -> [Frame] {
    if let known = cache[returnAddress] { return known }
    // Generated code comes and goes, so its names are not cached.
    let mapping = mapping(at: returnAddress &- 1)
    let mayBeGenerated = mapping?.mayBeGenerated ?? true
    if mayBeGenerated, let name = perfMap.name(at: returnAddress &- 1) {
      return [Frame(address: returnAddress, function: name)]
    }
    drip_file_guard_enter()
    defer { drip_file_guard_leave() }
    let result = resolve(returnAddress)
    if mayBeGenerated { return result }
    if cache.count >= Self.maximumCached { cache.removeAll(keepingCapacity: true) }
    cache[returnAddress] = result
    return result
  }

  private func resolve(_ returnAddress: UInt64) -> [Frame] {
    // The call is before the address to which it returns, which may belong to the next line or function.
    let call = returnAddress &- 1
    guard returnAddress > 0, let mapping = mapping(at: call) else { return [Frame(address: returnAddress)] }
    if mapping.path == "[vdso]" {
      return [Frame(address: returnAddress, module: "[vdso]", offset: returnAddress - mapping.start)]
    }
    guard let module = module(of: mapping) else { return [Frame(address: returnAddress)] }
    guard let file = module.file else {
      let offset = returnAddress &- mapping.start &+ mapping.fileOffset
      return [Frame(address: returnAddress, module: SafeText.clean(module.path), offset: offset)]
    }

    let address = file.virtualAddress(of: call, in: mapping)
    let symbol = file.symbols.name(at: address).map(Demangler.readable)
    var scopes = file.lines.scopes(at: address)
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

  private func mapping(at address: UInt64) -> SymbolMapping? {
    let index = Self.lastStart(notAfter: address, in: mappings)
    guard let index, address < mappings[index].end else { return nil }
    return mappings[index]
  }

  private static func lastStart(notAfter address: UInt64, in mappings: [SymbolMapping]) -> Int? {
    var low = 0
    var high = mappings.count
    while low < high {
      let middle = (low + high) / 2
      if mappings[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? low - 1 : nil
  }

  private static func overlap(_ mapping: SymbolMapping, in mappings: [SymbolMapping]) -> Bool {
    guard let index = lastStart(notAfter: mapping.end - 1, in: mappings) else { return false }
    return mappings[index].overlaps(mapping)
  }

  /// The file of a mapping, opened now if it was not before; nil for memory without a file.
  private func module(of mapping: SymbolMapping) -> Module? {
    if let known = opened[mapping] { return known }
    guard let path = mapping.filePath else { return nil }
    var module = Module(path: path)
    do throws(OpenFailure) {
      let file = try target.open(mapping, path: path)
      let identity = try SymbolFile.Identity(file)
      if let known = files[identity] {
        module.file = known
      } else {
        let new = try SymbolFile(file, path: path, target: target)
        files[identity] = new
        module.file = new
      }
    } catch {
      let entry = UnreadableModule(path: SafeText.clean(path), reason: error.reason)
      if !unreadable.contains(where: { $0.path == entry.path }) { unreadable.append(entry) }
    }
    opened[mapping] = module
    return module
  }
}

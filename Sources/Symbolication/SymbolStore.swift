/// The files whose symbols have been read. Symbolizers that share a store read the symbols of a file once, however many
/// processes map it.
///
/// Belongs to one task or actor at a time, like the symbolizers that use it.
public final class SymbolStore {
  private final class Weak {
    weak var file: SymbolFile?
    init(_ file: SymbolFile) { self.file = file }
  }

  /// Files that were opened so far.
  private(set) var openings = 0
  private var files: [SymbolFile.Identity: Weak] = [:]

  /// A store without files.
  public init() {}

  /// The symbols of a file, opened now if nobody has. A file is kept for as long as a symbolizer does.
  func open(_ file: consuming OpenFile, path: String, target: TargetFiles) throws(OpenFailure) -> SymbolFile {
    // A file that is open keeps its number: no other can be taken for it.
    let identity = try SymbolFile.Identity(file)
    if let known = files[identity]?.file { return known }
    files = files.filter { $0.value.file != nil }
    let new = try SymbolFile(file, path: path, target: target)
    files[identity] = Weak(new)
    openings += 1
    return new
  }
}

internal import CElfutils
internal import Glibc

/// Names of data.
extension Symbolizer {
  /// A variable of a program or library in memory, as far as it could be named.
  public struct Variable: Sendable, Hashable {
    /// The symbol that covers the address, demangled; nil if there is none.
    public var name: String?
    /// The path of the file as the target sees it.
    public var module: String
  }

  /// What stands at an address of initialised or zeroed data; nil outside of all files' memory. Zeroed data has no
  /// mapping of its file: it follows that of the initialised data.
  public func variable(at address: UInt64) -> Variable? {
    withFile(ofDataAt: address) { file, path, location in
      Variable(name: file?.variableName(at: location), module: SafeText.clean(path))
    }
  }
}

extension SymbolFile {
  /// The name of the variable at an address of the file, demangled. libdwfl looks through all symbols, which takes about
  /// a millisecond.
  func variableName(at address: UInt64) -> String? {
    var offset: GElf_Off = 0
    var symbol = GElf_Sym()
    guard let text = dwfl_module_addrinfo(module, address, &offset, &symbol, nil, nil, nil),
      symbol.st_size > 0, offset < symbol.st_size,
      let name = SafeText.string(text, maximum: Demangler.inputLimit)
    else { return nil }
    return Demangler.readable(name)
  }
}

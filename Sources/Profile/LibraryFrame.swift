/// Which frames belong to the plumbing below a program: allocators, the C library, the C++ library, the dynamic linker.
/// A reader who looks for the program's own call sites can do without them (`--no-libc`).
public enum LibraryFrame {
  private static let modules = [
    "libc.so", "libc-", "libc.musl", "libpthread", "libdl.so", "libm.so", "libm-", "librt.so", "libstdc++",
    "libc++",
    "libgcc_s", "ld-linux", "ld-musl", "ld-2.", "libjemalloc", "libtcmalloc", "libmimalloc",
    "libdrip-sampler", "[vdso]",
  ]
  private static let namespaces = ["std::", "__gnu_cxx::", "__cxxabiv1::", "__rust_", "__rdl_", "__rg_"]
  private static let functions: Set<String> = [
    "malloc", "calloc", "realloc", "reallocarray", "free", "posix_memalign", "aligned_alloc", "memalign",
    "valloc",
    "pvalloc", "strdup", "strndup", "_start",
  ]

  /// True for a frame in such a library, and for a function of one that was compiled into the program: an instance of
  /// a template of namespace std, an operator new, a malloc that is linked in.
  public static func isLibrary(_ frame: Frame) -> Bool {
    if let module = frame.module?.split(separator: "/").last,
      modules.contains(where: { module.hasPrefix($0) })
    {
      return true
    }
    guard let function = frame.function else { return false }
    let name = qualifiedName(function)
    return namespaces.contains { name.hasPrefix($0) } || name.hasPrefix("operator new")
      || functions.contains(function)
  }

  /// The name of a demangled function without its return type, which the demangled names of template instances begin
  /// with: "void std::sort<int*>(int*, int*)" gives "std::sort<int*>(int*, int*)".
  static func qualifiedName(_ function: String) -> Substring {
    let bytes = Array(function.utf8)
    var depth = 0
    var start = 0
    var index = 0
    let operatorWord = Array("operator".utf8)
    let anonymous = Array("(anonymous namespace)".utf8)
    while index < bytes.count {
      if bytes[index...].starts(with: anonymous) {
        index += anonymous.count
        continue
      }
      // What follows is the operator's own name, which may hold any sign.
      if depth == 0, bytes[index...].starts(with: operatorWord) { break }
      switch bytes[index] {
      case UInt8(ascii: "<"), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ">"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: "(") where depth == 0: return function[utf8: start]
      case UInt8(ascii: "("): depth += 1
      case UInt8(ascii: ")"): depth -= 1
      case UInt8(ascii: " ") where depth == 0: start = index + 1
      default: break
      }
      index += 1
    }
    return function[utf8: start]
  }
}

extension String {
  fileprivate subscript(utf8 offset: Int) -> Substring { self[utf8.index(startIndex, offsetBy: offset)...] }
}

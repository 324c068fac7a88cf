import Foundation
import Testing

/// Compilers at work: the largest programs, with the deepest stacks, that most machines have.
extension StackCheckTests {
  /// A source file that takes a compiler half a minute and more.
  private static let source = """
    #include <algorithm>
    #include <functional>
    #include <map>
    #include <regex>
    #include <string>
    #include <vector>
    template <int N> struct Tag { int value = N; bool operator<(const Tag &o) const { return value < o.value; } };
    template <int N> long use(long x) {
      std::map<std::string, std::vector<Tag<N>>> m;
      std::function<long(long)> f = [&m](long y) { m[std::to_string(y)].push_back({}); return y + N; };
      std::vector<Tag<N>> v(x % 100);
      std::sort(v.begin(), v.end());
      for (auto &t : v) m["a"].push_back(t);
      return f(x) + m.size();
    }
    template <int N> long all(long x) { if constexpr (N > 0) return use<N>(x) + all<N - 1>(x); else return x; }
    int main(int n, char **w) { return (int)all<800>(n) + std::regex_match(w[0], std::regex("a+b")); }
    """

  @Test("a compiler", arguments: ["cc1plus", "clang"])
  func compiler(name: String) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/drip-compiler-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let file = folder + "/large.cc"
    try Self.source.write(toFile: file, atomically: true, encoding: .utf8)
    let compiler: Child
    if name == "clang" {
      // In one process: the driver starts no other one where there is one file to compile.
      compiler = try Child(
        "/usr/bin/env",
        ["clang", "-std=c++17", "-ftemplate-depth=2000", "-O2", "-c", file, "-o", "/dev/null"])
    } else {
      let expanded = folder + "/large.ii"
      try #require(try run("/usr/bin/g++", ["-std=c++17", "-E", file, "-o", expanded]).status == 0)
      let path = try run("/usr/bin/g++", ["-print-prog-name=cc1plus"]).output
        .trimmingCharacters(in: .newlines)
      compiler = try Child(
        path,
        ["-quiet", "-fpreprocessed", "-std=c++17", "-ftemplate-depth=2000", "-O2", expanded]
          + ["-o", "/dev/null"])
    }
    // What is told while it loads itself is not what is meant.
    Thread.sleep(forTimeInterval: 0.5)
    // Nearly every stack of theirs is another one.
    try check(compiler.pid, name, ["--max-sites", "524288"])
    #expect(compiler.isRunning, "it is to be at work all the time")
  }
}

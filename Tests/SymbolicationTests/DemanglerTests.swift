import Foundation
import Testing

@testable import Symbolication

@Suite struct DemanglerTests {
  /// Names of rustc 1.95, and what rustc-demangle's short form makes of them.
  @Test(arguments: [
    ("_RNvCs4Jz2Mtfmu5I_1v4main", "v::main"),
    ("_RNvCs4Jz2Mtfmu5I_1vu9gre_6ka8i", "v::größe"),
    ("_RINvCs4Jz2Mtfmu5I_1v4callNCNvB2_4mains2_0EB2_", "v::call::<v::main::{closure#4}>"),
    ("_RINvCs4Jz2Mtfmu5I_1v5konstKj0_Kb0_Kc27_Kl5_EB2_", "v::konst::<0, false, '\\'', 5>"),
    ("_RINvCs4Jz2Mtfmu5I_1v5konstKj2a_Kb1_Kc78_Kln7_EB2_", "v::konst::<42, true, 'x', -7>"),
    ("_RINvCs4Jz2Mtfmu5I_1v7genericFG_RL0_hERL0_hEB2_", "v::generic::<for<'a> fn(&'a u8) -> &'a u8>"),
    (
      "_RINvCs4Jz2Mtfmu5I_1v7genericINtNtCslNYArtu3iFV_5alloc5boxed3BoxDNtNtNtNtCsgEmfK2I1SDS_4core4iter"
        + "6traits8iterator8Iteratorp4ItemmEL_EEB2_",
      "v::generic::<alloc::boxed::Box<dyn core::iter::traits::iterator::Iterator<Item = u32>>>"
    ),
    (
      "_RNSNvYNCNvCs4Jz2Mtfmu5I_1v4mains1_0INtNtNtCsgEmfK2I1SDS_4core3ops8function6FnOnceTReEE9call_once"
        + "6vtableB8_",
      "<v::main::{closure#3} as core::ops::function::FnOnce<(&str,)>>::call_once::{shim:vtable#0}"
    ),
    ("_RNvMCs4Jz2Mtfmu5I_1vINtB2_1ShE4showB2_", "<v::S<u8>>::show"),
    ("_RNvXs_Cs4Jz2Mtfmu5I_1vINtB4_1SAxj3_ENtB4_2Tr2goB4_", "<v::S<[i64; 3]> as v::Tr>::go"),
    ("_RINvNtC3std3mem8align_ofjdE.llvm.123", "std::mem::align_of::<usize, f64>"),
    ("_RIC0FUKCjEuE", "::<unsafe extern \"C\" fn(usize)>"),
    ("_RIC0FK8fastcallEuE", "::<extern \"fastcall\" fn()>"),
    ("_RIC0POmE", "::<*const *mut u32>"),
    ("_RIC0QSeThEzvE", "::<&mut [str], (u8,), !, ...>"),
    ("_RIC0KRe616263_E", "::<\"abc\">"),
    ("_RIC0KVNtC0_1aS1bKE", "_RIC0KVNtC0_1aS1bKE"),
    ("_RIC0Kyffffffffffffffffff_E", "::<0xffffffffffffffffff>"),
    ("_RNvC1a4mainextra", "_RNvC1a4mainextra"),
  ])
  func rustV0(name: String, readable: String) {
    #expect(Demangler.readable(name) == readable)
  }

  @Test(arguments: [
    ("_ZN1v10S$LT$T$GT$4show17h0e9aea0d3bb46966E", "v::S<T>::show"),
    ("_ZN1v13gr$uf6$$udf$e17h48633adc668ab15bE", "v::größe"),
    ("_ZN1v4main28_$u7b$$u7b$closure$u7d$$u7d$17h074a687d0656503bE", "v::main::{{closure}}"),
    (
      "_ZN39_$LT$v..S$LT$T$GT$$u20$as$u20$v..Tr$GT$2go17h5515b6035c8411d2E.llvm.1234567",
      "<v::S<T> as v::Tr>::go"
    ),
    (
      "_ZN4core3ops8function6FnOnce40call_once$u7b$$u7b$vtable.shim$u7d$$u7d$17hc4ab953a5f2571f2E",
      "core::ops::function::FnOnce::call_once{{vtable.shim}}"
    ),
    ("_ZN1a$u1b$1b17h0e9aea0d3bb46966E", "_ZN1a$u1b$1b17h0e9aea0d3bb46966E"),
    ("_ZN6a$u1b$1b17h0e9aea0d3bb46966E", "a?::b"),
  ])
  func rustLegacy(name: String, readable: String) {
    #expect(Demangler.readable(name) == readable)
  }

  @Test(arguments: [
    ("_ZN4shop3BoxIiE3putERKi", "shop::Box<int>::put(int const&)"),
    ("_ZN1a1bEv.constprop.0.isra.3", "a::b()"),
    ("_Znwm@@GLIBCXX_3.4", "operator new(unsigned long)"),
    ("hidden.part.0", "hidden"),
    ("memcpy@GLIBC_2.14", "memcpy"),
    ("local.file.name", "local.file.name"),
    ("_Zbroken", "_Zbroken"),
    ("$s7s_swift1KC1aACSi_tcfC", "s_swift.K.__allocating_init(a: Swift.Int) -> s_swift.K"),
    ("$sSS", "Swift.String"),
    ("malloc", "malloc"),
    ("", ""),
  ])
  func others(name: String, readable: String) {
    #expect(Demangler.readable(name) == readable)
  }

  @Test func swiftAgreesWithTheTool() throws {
    let names = [
      "$s7s_swift1KC1qSivg", "$sSa6appendyyxnF", "$s4main3FooV3baryyYaF",
      "$ss5print_9separator10terminatoryypd_S2StF",
    ]
    let tool = try run("swift", ["demangle", "--compact"] + names).split(separator: "\n").map(String.init)
    #expect(names.map(Demangler.readable) == tool)
  }

  /// Every v0 name of a program made now, compared with binutils. Skipped where there is no rustc.
  @Test func rustAgreesWithBinutils() throws {
    let scratch = try Scratch()
    let file = try scratch.write(
      "v.rs",
      """
      fn main() {
        let words: std::collections::BTreeMap<String, Vec<Option<u8>>> = Default::default();
        let mut all: Vec<Box<dyn Fn(&str) -> usize>> = vec![];
        all.push(Box::new(|s| s.len()));
        println!("{:?} {}", words, all[0]("x"));
      }
      """)
    guard (try? run("rustc", ["-C", "symbol-mangling-version=v0", "-o", scratch.path + "/v", file])) != nil
    else {
      return
    }
    let names = try run("nm", [scratch.path + "/v"]).split(separator: "\n")
      .compactMap { $0.split(separator: " ").last.map(String.init) }.filter { $0.hasPrefix("_R") }
    let text = try run("c++filt", [], input: names.joined(separator: "\n") + "\n")
    // binutils adds the hashes of crates and the types of constants.
    let reference =
      text
      .replacing(#/(?<name>[\w}>])\[[0-9a-f]{5,16}\]/#) { String($0.output.name) }
      .replacing(#/(?<value>[0-9a-f'e_]): (bool|char|str|[iu](8|16|32|64|128|size))\b/#) {
        String($0.output.value)
      }
      .split(separator: "\n").map(String.init)
    #expect(names.count > 100)
    #expect(names.map(Demangler.readable) == reference)
  }

  /// Names that stand for more text than there is memory, or that lead in circles.
  @Test(.timeLimit(.minutes(1))) func bombs() {
    // Pairs of pairs of pairs: each step doubles the text.
    func cxx(steps: Int) -> String {
      (0..<steps).reduce("_Z1fSt4pairIiiE") { name, step in
        let index = String(step, radix: 36).uppercased()
        return name + "S_IS\(index)_S\(index)_E"
      }
    }
    #expect(Demangler.readable(cxx(steps: 1)).hasPrefix("f(std::pair<int, int>, std::pair<std::pair<int,"))
    #expect(Demangler.readable(cxx(steps: 36)) == cxx(steps: 36))

    func swift(steps: Int, arguments: Int) -> String {
      let types = "EFGHIJKLMNOPQRSTUVWXYZ".prefix(steps).map { "ADyA\(arguments)\($0)G" }
      return "$s1m1fyyAA1PVyS2iG_" + types.joined() + "tF"
    }
    #expect(
      Demangler.readable(swift(steps: 2, arguments: 2)).hasPrefix("m.f(m.P<Swift.Int, Swift.Int>, m.P<m.P<"))
    #expect(Demangler.readable(swift(steps: 22, arguments: 2)).utf8.count <= SafeText.limit + 3)
    #expect(Demangler.readable(swift(steps: 6, arguments: 99)) == swift(steps: 6, arguments: 99))

    var rust = "_RIC0"
    for _ in 0..<60 { rust += "TB4_B4_E" }
    _ = Demangler.readable(rust + "E")
    #expect(Demangler.readable("_RB_") == "_RB_")
    #expect(Demangler.readable("_RMB_B_") == "_RMB_B_")
    let deep = "_RIC0" + String(repeating: "R", count: 10_000) + "hE"
    #expect(Demangler.readable(deep).hasPrefix("_RIC0RRR"))
    #expect(Demangler.readable("_Z" + String(repeating: "P", count: 15_000)).hasPrefix("_ZPPP"))
    #expect(Demangler.readable("$s" + String(repeating: "S", count: 15_000)).utf8.count <= SafeText.limit + 3)
    #expect(Demangler.readable(String(repeating: "x", count: 1 << 20)).utf8.count <= SafeText.limit + 3)
  }

  @Test func randomNamesAreHarmless() {
    var generator = SystemRandomNumberGenerator()
    let alphabet = Array("_RNvCINtMsXYBKjhTEuFDpSAL0123456789abZN17hEe$.")
    for _ in 0..<20_000 {
      let tail = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
        alphabet.randomElement(using: &generator) ?? "_"
      }
      _ = RustV0Demangler.demangle("_R" + String(tail))
      _ = RustLegacyDemangler.demangle("_ZN" + String(tail))
    }
  }
}

@Suite struct SafeTextTests {
  @Test func controlsAreReplaced() {
    #expect(SafeText.clean("a\u{1b}[31mb") == "a?[31mb")
    #expect(SafeText.clean("a\nb\u{7f}\u{9b}c\0") == "a?b??c?")
    #expect(SafeText.clean("a\u{202e}b") == "a?b")
    #expect(SafeText.clean("größe → 日本") == "größe → 日本")
    #expect(SafeText.clean("abcdef", limit: 3) == "abc…")
    #expect(SafeText.clean("äöü", limit: 5) == "äö…")
  }
}

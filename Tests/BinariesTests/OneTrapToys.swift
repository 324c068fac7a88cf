import Foundation
import Profile
import Testing

@testable import Binaries

/// A function in assembly, and what is to be found in it.
struct OneTrapToy: Sendable, CustomTestStringConvertible {
  var name: String
  var code: String
  var call = AllocatorCall.malloc
  var isTakenOver = false
  var found: [String] = []
  /// A part of the refusal; sites are expected if nil.
  var refused: String?

  var testDescription: String { name }

  static func finds(
    _ name: String, _ code: String, isTakenOver: Bool = false, _ found: [String]
  ) -> Self {
    Self(name: name, code: code, isTakenOver: isTakenOver, found: found)
  }

  static func finds(_ name: String, _ code: String, _ call: AllocatorCall, _ found: [String]) -> Self {
    Self(name: name, code: code, call: call, found: found)
  }

  static func refuses(_ name: String, _ code: String, isTakenOver: Bool = false, _ why: String) -> Self {
    Self(name: name, code: code, isTakenOver: isTakenOver, refused: why)
  }

  static func refuses(_ name: String, _ code: String, _ call: AllocatorCall, _ why: String) -> Self {
    Self(name: name, code: code, call: call, refused: why)
  }
}

/// All toys as functions of one program, for one run of the compiler.
final class OneTrapProgram: Sendable {
  let elf: ELFFile
  private let symbols: [String: ELFSymbol]

  /// What toys call: a function that returns, one that dies, one that dies if its argument is 1, another entry.
  static let helpers = """
    .intel_syntax noprefix
    .text
    .type helper, @function
    .type dead, @function
    .type maybe, @function
    .type other, @function
    helper: ret
    dead: push rax
      ud2
    maybe: cmp edi, 1
      je 1f
      ret
    1: call dead
    other: push rbx
      mov rbx, rdi
      call helper
      pop rbx
      ret
    """

  init(_ toys: [OneTrapToy]) throws {
    var text = Self.helpers
    for (index, toy) in toys.enumerated() {
      text += "\n.type toy\(index), @function\ntoy\(index):\n\(toy.code)\n  ud2\n"
    }
    let quoted = text.split(separator: "\n").map { "  \"\($0)\\n\"" }.joined(separator: "\n")
    let program = try ToyProgram(
      "asm(\n\(quoted)\n\".att_syntax\\n\");\nvoid _start(void) {}", flags: ["-nostdlib", "-static"])
    elf = try program.elf
    symbols = try elf.symbols(
      named: Set(toys.indices.map { "toy\($0)" } + ["helper", "dead", "maybe", "other"]))
  }

  func address(_ name: String) throws -> UInt64 { try #require(symbols[name]).address }

  func code(at address: UInt64) -> [UInt8] { (try? elf.code(at: address, count: 15)) ?? [] }
}

extension OneTrapToy {
  static let all = ways + sizes + returns + frames + traps

  static let ways: [OneTrapToy] = [
    .finds(
      "result known on one way only",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rax, rax
        je 1f
        pop rbx
        ret
      1: xor eax, eax
        pop rbx
        ret
      """, ["record je not taken: result rax, size rbx, frame 16, rbp in rbp"]),
    .finds(
      "result known on both ways",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rbx, rbx
        je 1f
        inc rdx
      1: pop rbx
        ret
      """, ["record je: result rax, size rbx, frame 16, rbp in rbp"]),
    .finds(
      "result on the way of the jump",
      """
        push rbx
        mov rbx, rdi
        call helper
        cmp rax, rdx
        ja 1f
        xor eax, eax
      1: pop rbx
        ret
      """, ["record ja taken: result rax, size rbx, frame 16, rbp in rbp"]),
    .finds(
      "only the way out of a loop",
      """
        push rbx
        mov rbx, rdi
        call helper
      1: dec rcx
        jne 1b
        pop rbx
        ret
      """, ["record jne not taken: result rax, size rbx, frame 16, rbp in rbp"]),
    .refuses(
      "a loop over the only site",
      """
        push rbx
        mov rbx, rdi
        call helper
      1: nop
        loop 1b
        pop rbx
        ret
      """, "passes no usable instruction"),
    .finds(
      "two sites on a path: the later one",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rbx, rbx
        je 1f
        call helper
      1: nop
        pop rbx
        ret
      """, ["record nop: result rax, size rbx, frame 16, rbp in rbp"]),
    .refuses(
      "two sites on a path, and no later one for all",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rbx, rbx
        je 1f
        call helper
      2: nop
        pop rbx
        ret
      1: jrcxz 3f
        jmp 2b
      3: pop rbx
        ret
      """, "passes no usable instruction"),
    .refuses("null only", "xor eax, eax\n ret", "never returns a block"),
    .refuses(
      "uncovered",
      """
        sub rsp, 8
        call helper
        add rsp, 8
        ret
      """, "the way to the return at 0x"),
    .finds(
      "a jump whose two ways are one",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rax, rax
        je 1f
      1: pop rbx
        ret
      """, ["record je: result rax, size rbx, frame 16, rbp in rbp"]),
    .refuses(
      "the test is not the last before the jump",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rax, rax
        inc rcx
        je 1f
        nop
      1: mov rcx, rax
        pop rbx
        ret
      """.replacingOccurrences(
        of: "mov rcx, rax", with: "mov qword ptr [rdx], rcx\n  mov rax, qword ptr [rdx]"),
      "passes no usable instruction"),
  ]

  static let sizes: [OneTrapToy] = [
    .finds(
      "size in a slot",
      """
        sub rsp, 24
        mov qword ptr [rsp + 8], rdi
        call helper
        test rax, rax
        je 1f
        inc rcx
      1: add rsp, 24
        ret
      """, ["record je not taken: result rax, size rsp+8, frame 32, rbp in rbp"]),
    .finds(
      "size lost",
      """
        sub rsp, 8
        call helper
        test rdx, rdx
        je 1f
        inc rcx
      1: add rsp, 8
        ret
      """,
      [
        "remember call: size rdi, frame 16, rbp in rbp", "settle je: result rax, frame 16, rbp in rbp",
      ]),
    .refuses(
      "size lost before anything",
      """
        mov edi, 5
        sub rsp, 8
        call helper
        nop
        add rsp, 8
        ret
      """, "size is lost"),
    .finds(
      "32 bits are no copy",
      """
        push rbx
        mov ebx, edi
        call helper
        nop
        pop rbx
        ret
      """, ["remember call: size rdi, frame 16, rbp in rbp", "settle nop: result rax, frame 16, rbp in rbp"]),
    .finds(
      "calloc by mul",
      """
        push rbx
        mov rax, rdi
        mul rsi
        mov rbx, rax
        mov rdi, rax
        call helper
        nop
        pop rbx
        ret
      """, .calloc, ["record nop: result rax, size rbx, frame 16, rbp in rbp"]),
    .finds(
      "calloc by imul",
      """
        push rbx
        mov rbx, rsi
        imul rbx, rdi
        call helper
        nop
        pop rbx
        ret
      """, .calloc, ["record nop: result rax, size rbx, frame 16, rbp in rbp"]),
    .refuses(
      "calloc by a square",
      """
        push rbx
        mov rbx, rsi
        imul rbx, rbx
        call helper
        nop
        pop rbx
        ret
      """, .calloc, "size is lost"),
    .finds(
      "the second argument",
      """
        push rbx
        mov rbx, rsi
        call helper
        nop
        pop rbx
        ret
      """, .alignedAlloc, ["record nop: result rax, size rbx, frame 16, rbp in rbp"]),
    .finds(
      "below rsp nothing stays over a call",
      """
        push rbx
        mov qword ptr [rsp - 8], rdi
        call helper
        mov rbx, qword ptr [rsp - 8]
        nop
        pop rbx
        ret
      """, ["remember call: size rdi, frame 16, rbp in rbp", "settle nop: result rax, frame 16, rbp in rbp"]),
    .finds(
      "a pushed word below rsp",
      """
        push rbx
        mov qword ptr [rsp - 8], rdi
        push qword ptr [rdx]
        pop rbx
        call helper
        nop
        pop rbx
        ret
      """, ["remember call: size rdi, frame 16, rbp in rbp", "settle nop: result rax, frame 16, rbp in rbp"]),
    .finds(
      "cmpxchg writes rax",
      """
        push rbx
        mov rax, rdi
        xor edi, edi
        lock cmpxchg qword ptr [rdx], rcx
        mov rbx, rax
        call helper
        nop
        pop rbx
        ret
      """, ["remember push: size rdi, frame 8, rbp in rbp", "settle nop: result rax, frame 16, rbp in rbp"]),
    .finds(
      "syscall writes r11",
      """
        push rbx
        mov r11, rdi
        syscall
        mov rbx, r11
        xor edi, edi
        call helper
        nop
        pop rbx
        ret
      """, ["remember push: size rdi, frame 8, rbp in rbp", "settle nop: result rax, frame 16, rbp in rbp"]),
    .finds(
      "xchg moves neither",
      """
        push rbx
        mov rbx, rdi
        xchg rbx, rdx
        mov edi, 0
        call helper
        nop
        pop rbx
        ret
      """, ["remember push: size rdi, frame 8, rbp in rbp", "settle nop: result rax, frame 16, rbp in rbp"]),
    .refuses(
      "a slot written by a vector and by a bit",
      """
        sub rsp, 40
        mov qword ptr [rsp + 8], rdi
        mov qword ptr [rsp + 24], rdi
        movups xmmword ptr [rsp], xmm0
        bts qword ptr [rsp], rdx
        xor edi, edi
        call helper
        nop
        add rsp, 40
        ret
      """, "size is lost"),
  ]
}

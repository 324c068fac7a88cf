import Profile

@testable import Binaries

extension OneTrapToy {
  static let returns: [OneTrapToy] = [
    .refuses("a jump through a register", "push rbx\n pop rbx\n jmp rax", "only known at run time"),
    .finds(
      "another entry takes over",
      """
        test rdi, rdi
        je 1f
        jmp other
      1: push rbx
        mov rbx, rdi
        call helper
        nop
        pop rbx
        ret
      """, isTakenOver: true, ["record nop: result rax, size rbx, frame 16, rbp in rbp"]),
    .refuses(
      "another entry does not take over",
      """
        test rdi, rdi
        je 1f
        jmp other
      1: push rbx
        mov rbx, rdi
        call helper
        nop
        pop rbx
        ret
      """, "it goes on at 0x"),
    .refuses("another size taken over", "mov edi, 5\n jmp other", isTakenOver: true, "it goes on at 0x"),
    .refuses(
      "taken over with the stack moved", "push rbx\n jmp other", isTakenOver: true, "it goes on at 0x"),
    .finds(
      "a call that does not return", dying("mov edi, 1"),
      ["record nop: result rax, size rbx, frame 16, rbp in rbp"]),
    .refuses("the same call with another argument", dying("mov edi, 0"), "with the stack moved"),
    .refuses("its argument changed in part", dying("mov edi, 1\n  mov dil, 0"), "with the stack moved"),
    .refuses("its argument cleared in part", dying("mov edi, 1\n  xor dil, dil"), "with the stack moved"),
    .refuses(
      "a trap that goes on",
      """
        push rbx
        mov rbx, rdi
        call helper
        test rbx, rbx
        je 1f
        int 0x80
      1: nop
        pop rbx
        ret
      """, "only known at run time"),
    .refuses("the return address overwritten", "nop\n mov qword ptr [rsp], rax\n ret", "cannot be followed"),
    .refuses("the return address popped", "nop\n pop rcx\n push rax\n ret", "cannot be followed"),
    .refuses(
      "a call of another entry", "push rbx\n mov rbx, rdi\n call other\n nop\n pop rbx\n ret", "probed itself"
    ),
    .refuses("recursion", "9: push rbx\n mov rbx, rdi\n call 9b\n nop\n pop rbx\n ret", "probed itself"),
    .refuses("a call of a part of itself", "push rbx\n call 1f\n 1: pop rbx\n nop\n ret", "its own inside"),
  ]

  static let frames: [OneTrapToy] = [
    .refuses("an address of the frame", "sub rsp, 24\n lea rsi, [rsp + 8]\n add rsp, 24\n ret", "`lea rsi"),
    .refuses(
      "the stack moved on one way", "test rdi, rdi\n je 1f\n push rax\n 1: ret", "moved differently"),
    .refuses("push rsp", "push rsp\n pop rax\n nop\n ret", "`push rsp`"),
    .refuses("pop rsp", "push rbx\n pop rsp\n nop\n ret", "`pop rsp`"),
    .refuses("16 bits", "push ax\n push rbx\n pop rbx\n pop ax\n nop\n ret", "`push ax`"),
    .refuses("rsp from a register", "mov rsp, rdx\n nop\n ret", "`mov rsp"),
    .refuses("half of rsp", "mov eax, esp\n nop\n ret", "`mov eax, esp`"),
    .finds(
      "rbp as a frame pointer",
      """
        push rbp
        mov rbp, rsp
        sub rsp, 16
        mov qword ptr [rbp - 8], rdi
        call helper
        nop
        leave
        ret
      """, ["record nop: result rax, size rsp+8, frame 32, rbp in rsp+16"]),
    .finds(
      "rbp holds the size",
      """
        push rbp
        mov rbp, rdi
        call helper
        nop
        pop rbp
        ret
      """, ["record nop: result rax, size rbp, frame 16, rbp in rsp+0"]),
    .refuses(
      "a write by rbp and an index",
      """
        push rbp
        mov rbp, rsp
        sub rsp, 32
        mov qword ptr [rbp - 16], rdi
        mov qword ptr [rbp + rcx*8 - 16], rdx
        call helper
        nop
        leave
        ret
      """, "passes no usable instruction"),
    .refuses(
      "rbp points there on one way",
      """
        push rbp
        sub rsp, 16
        mov qword ptr [rsp + 8], rdi
        test rsi, rsi
        je 1f
        mov rbp, rsp
      1: mov qword ptr [rbp + 8], rdx
        call helper
        nop
        add rsp, 16
        pop rbp
        ret
      """, "cannot be followed"),
    .refuses(
      "rbp exchanged", "push rbp\n mov rbp, rsp\n xchg rax, rbp\n nop\n mov rbp, rax\n leave\n ret", "`xchg"),
    .refuses("rbp moved", "push rbp\n mov rbp, rsp\n sub rbp, 16\n nop\n pop rbp\n ret", "`sub rbp"),
    .refuses("rbp pushed", "push rbp\n mov rbp, rsp\n push rbp\n pop rax\n nop\n leave\n ret", "`push rbp`"),
    .refuses(
      "a slot of a large frame",
      """
        sub rsp, 0x4008
        call helper
        mov qword ptr [rsp + 8], rax
        nop
        mov qword ptr [rsp + 8], 5
        mov rax, qword ptr [rsp + 8]
        add rsp, 0x4008
        ret
      """, "passes no usable instruction"),
    .finds(
      "the result in a slot",
      """
        push rbx
        sub rsp, 16
        mov rbx, rdi
        call helper
        mov qword ptr [rsp + 8], rax
        call helper
        mov rax, qword ptr [rsp + 8]
        add rsp, 16
        pop rbx
        ret
      """, ["record call: result rsp+8, size rbx, frame 32, rbp in rbp"]),
  ]

  static let traps: [OneTrapToy] = [
    .refuses(
      "a site inside of another instruction",
      """
        push rbx
        mov rbx, rdi
        call helper
        jrcxz 1f + 1
      1: .byte 0x3d, 0x90, 0x90, 0xeb, 0x02
        xor eax, eax
        pop rbx
        ret
      """, "passes no usable instruction")
  ]

  /// A call of `maybe` behind which the stack is moved.
  private static func dying(_ argument: String) -> String {
    """
      test rdi, rdi
      je 1f
      push rbx
      mov rbx, rdi
      call helper
      nop
      pop rbx
      ret
    1: sub rsp, 24
      \(argument)
      call maybe
      ret
    """
  }
}

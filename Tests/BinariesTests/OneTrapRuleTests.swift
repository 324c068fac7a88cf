import Profile
import Testing

@testable import Binaries

/// The proof behind one-trap sites, rule by rule, on functions written for each.
@Suite("one-trap rules", .enabled(if: ToyProgram.isPossible))
struct OneTrapRuleTests {
  /// Assembles `body` as function f, beside a callee g and an entry point `other`, and analyses it.
  private func analyse(
    _ body: String, _ call: AllocatorCall = .malloc, takesOver: Bool = true
  ) throws -> Result<[OneTrapSite], OneTrap.Refusal> {
    let program = try ToyProgram(
      """
      __asm__(".intel_syntax noprefix\\n.text\\n.globl f, g, other, quits\\n.type f, @function\\n.type g, @function\\n"
      ".type other, @function\\n.type quits, @function\\n"
      "g: mov rax, rdi\\nret\\n.size g, .-g\\nother: mov rax, rdi\\nret\\n.size other, .-other\\n"
      "quits: test edi, edi\\njne 1f\\nret\\n1: hlt\\n.size quits, .-quits\\n"
      "f: \(body.split(separator: "\n").map { $0 + "\\n" }.joined())"
      ".size f, .-f\\n.att_syntax prefix\\n");
      int main(void) { return 0; }
      """)
    let elf = try program.elf
    let symbols = try elf.symbols(named: ["f", "other"])
    let entry = try #require(symbols["f"]).address
    let other = try #require(symbols["other"]).address
    do throws(OneTrap.Refusal) {
      return .success(
        try OneTrap.analyse(
          entry: entry, call: call, code: { (try? elf.code(at: $0, count: 15)) ?? [] },
          isEntry: { $0 == other },
          isTakenOver: { $0 == other && takesOver }))
    } catch {
      return .failure(error)
    }
  }

  private func sites(_ body: String, _ call: AllocatorCall = .malloc) throws -> [OneTrapSite] {
    try analyse(body, call).get()
  }

  private static let tail =
    "test rax, rax\nje 1f\nmov rdx, [rax]\npop rbx\nret\n1: xor eax, eax\npop rbx\nret"

  @Test("result and size in registers, on the edge on which the result is not null")
  func edge() throws {
    let sites = try sites("push rbx\nmov rbx, rdi\ncall g\n" + Self.tail)
    let site = try #require(sites.first)
    #expect(sites.count == 1 && site.role == .record && site.instruction.hasPrefix("je"))
    #expect(site.edge == Edge(condition: 4, isTaken: false))
    #expect(site.result == .register(0) && site.size == .register(3))
    #expect(site.frameBytes == 16 && site.callerFramePointer == .register(5))
  }

  @Test("the size in the frame, and the caller's rbp saved there")
  func frame() throws {
    let sites = try sites(
      "push rbp\nsub rsp, 16\nmov [rsp+8], rdi\nmov ebp, 7\ncall g\ntest rax, rax\nje 1f\nmov rdx, [rax]\n"
        + "1: add rsp, 16\npop rbp\nret")
    let site = try #require(sites.first)
    #expect(sites.count == 1 && site.edge == Edge(condition: 4, isTaken: false))
    #expect(site.size == .stack(8) && site.frameBytes == 32 && site.callerFramePointer == .stack(16))
  }

  @Test("a size that is lost is remembered where it last was")
  func lost() throws {
    let sites = try sites("push rbx\nmov ebx, 1\nmov rsi, rdi\ncall g\n" + Self.tail)
    #expect(sites.map(\.role) == [.remember, .settle])
    #expect(sites[0].instruction.hasPrefix("call") && sites[0].size == .register(6) && sites[0].result == nil)
    #expect(sites[1].result == .register(0) && sites[1].size == nil)
  }

  @Test("behind a loop, where the way out of it is passed once")
  func loop() throws {
    let sites = try sites("push rbx\nmov rbx, rdi\ncall g\nmov ecx, 3\n1: dec ecx\njne 1b\npop rbx\nret")
    #expect(sites.map(\.edge) == [Edge(condition: 5, isTaken: false)])
  }

  @Test("half a register is no copy")
  func half() throws {
    let sites = try sites("push rbx\nmov ebx, edi\ncall g\n" + Self.tail)
    #expect(sites.map(\.role) == [.remember, .settle])
  }

  @Test(
    "calloc's size is the product",
    arguments: ["mov rax, rdi\nmul rsi\nmov rbx, rax", "mov rbx, rdi\nimul rbx, rsi"])
  func product(multiplication: String) throws {
    let sites = try sites("push rbx\n\(multiplication)\ncall g\n" + Self.tail, .calloc)
    #expect(sites.map(\.role) == [.record] && sites[0].size == .register(3))
    #expect(throws: OneTrap.Refusal.self) {
      try self.sites(
        "push rbx\nmov rbx, rdi\nimul rbx, rdx\nxor edi, edi\nxor esi, esi\ncall g\n" + Self.tail, .calloc)
    }
  }

  @Test(
    "what cannot be shown is refused",
    arguments: [
      // No instruction behind the result that the kernel emulates.
      ("push rbx\nmov rbx, rdi\ncall g\npop rbx\nret", "passes no usable instruction"),
      ("push rbx\nmov rbx, rdi\nlea rdi, [rsp-8]\ncall g\n" + tail, "cannot be followed"),
      ("push rbx\nmov rbx, rdi\nand rsp, -16\ncall g\n" + tail, "cannot be followed"),
      ("push rbx\ntest rdi, rdi\nje 1f\npush rax\n1: pop rbx\nret", "the stack"),
      ("mov rax, [rdi]\njmp rax", "only known at run time"),
    ])
  func refused(body: String, why: String) throws {
    let result = try analyse(body)
    #expect(throws: OneTrap.Refusal.self) { try result.get() }
    if case .failure(let refusal) = result { #expect(refusal.description.contains(why), "\(refusal)") }
  }

  @Test("a jump to another entry point: seen there, or lost")
  func tailCall() throws {
    let body = "test rdi, rdi\njs other\npush rbx\nmov rbx, rdi\ncall g\n" + Self.tail
    #expect(throws: OneTrap.Refusal.self) { try self.analyse(body, takesOver: false).get() }
    let straight =
      "push rbx\nmov rbx, rdi\ncall g\ntest rax, rax\njne 1f\nmov rdi, rbx\npop rbx\njmp other\n1: pop rbx\nret"
    let sites = try analyse(straight).get()
    #expect(sites.count == 1 && sites[0].edge == Edge(condition: 5, isTaken: true))
    #expect(throws: OneTrap.Refusal.self) { try self.analyse(straight, takesOver: false).get() }
  }

  @Test("a call that never returns, with this argument, leads nowhere")
  func noReturn() throws {
    // Behind it comes what jumps lead to, with another stack.
    let body =
      "push rbx\nmov rbx, rdi\ncall g\ntest rax, rax\nje 1f\npop rbx\nret\n1: push rax\nmov edi, %\ncall quits\nret"
    let sites = try sites(body.replacing("%", with: "1"))
    #expect(sites.map(\.role) == [.record])
    #expect(throws: OneTrap.Refusal.self) { try self.sites(body.replacing("%", with: "0")) }
  }

  @Test(
    "reallocs and posix_memalign keep entry and return",
    arguments: [AllocatorCall.realloc, .posixMemalign, .free])
  func others(call: AllocatorCall) {
    #expect(throws: OneTrap.Refusal.self) {
      try self.sites("push rbx\nmov rbx, rdi\ncall g\n" + Self.tail, call)
    }
  }

  @Test("glibc's malloc: the result in rax at every telling site, each settled one remembered before")
  func glibc() throws {
    let elf = try SystemFile.elf(SystemFile.libc)
    let entry = try #require(try elf.symbols(named: ["malloc"])["malloc"]).address
    let sites = try OneTrap.analyse(
      entry: entry, call: .malloc, code: { (try? elf.code(at: $0, count: 15)) ?? [] })
    let telling = sites.filter { $0.role != .remember }
    #expect(telling.count >= 3 && telling.allSatisfy { $0.result == .register(0) })
    #expect(sites.contains { $0.role == .settle } == sites.contains { $0.role == .remember })
    #expect(Set(sites.map(\.frameBytes)).count == 1)
  }

  @Test("noise is refused or harmless")
  func noise() {
    var state: UInt64 = 88_172_645_463_325_252
    for _ in 0..<2000 {
      var code: [UInt8] = []
      for _ in 0..<96 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        // Rich in what the analysis looks at.
        let common: [UInt8] = [0x48, 0x89, 0x50, 0x58, 0xe8, 0x74, 0x75, 0xc3, 0x83, 0xec]
        code.append(
          state % 3 == 0 ? common[Int(state >> 8 % 10) % 10] : UInt8(truncatingIfNeeded: state >> 32))
      }
      let bytes = code
      _ = try? OneTrap.analyse(
        entry: 0x1000, call: .malloc,
        code: { address in
          address >= 0x1000 && address < 0x1060 ? Array(bytes[Int(address - 0x1000)...].prefix(15)) : []
        })
    }
  }
}

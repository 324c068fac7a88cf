import Profile
import Testing

@testable import Binaries

@Suite("one trap inside of a function", .enabled(if: ToyProgram.isPossible, "gcc is not installed"))
struct OneTrapTests {
  private static let program = Result { try OneTrapProgram(OneTrapToy.all) }

  /// The toy's address and what was found.
  private func analyse(_ toy: OneTrapToy, isOwn: (UInt64) -> Bool = { _ in true }) throws
    -> (program: OneTrapProgram, entry: UInt64, sites: Result<[OneTrapSite], OneTrap.Refusal>)
  {
    let program = try Self.program.get()
    let index = try #require(OneTrapToy.all.firstIndex { $0.name == toy.name })
    let entry = try program.address("toy\(index)")
    let other = try program.address("other")
    do throws(OneTrap.Refusal) {
      let sites = try OneTrap.analyse(
        entry: entry, call: toy.call, code: program.code, isEntry: { $0 == other },
        isTakenOver: { $0 == other && toy.isTakenOver }, isOwn: isOwn)
      return (program, entry, .success(sites))
    } catch {
      return (program, entry, .failure(error))
    }
  }

  @Test("a rule", arguments: OneTrapToy.all)
  func rule(toy: OneTrapToy) throws {
    let (program, entry, sites) = try analyse(toy)
    switch sites {
    case .success(let sites):
      #expect(toy.refused == nil)
      #expect(sites.map(\.summary) == toy.found)
      let other = try program.address("other")
      let dead = try [program.address("maybe"), program.address("dead")]
      let checker = OneTrapChecker(
        entry: entry, call: toy.call, code: program.code, sites: sites, isEntry: { $0 == other },
        deadCalls: Set(
          OneTrapImage.calls(from: entry, program.code).filter { dead.contains($0.target) }.map(\.at)))
      #expect(try checker.run() > 0)
    case .failure(let refusal):
      guard let why = toy.refused else {
        Issue.record("\(refusal)")
        return
      }
      #expect(refusal.description.contains(why))
    }
  }

  @Test("code that others share")
  func shared() throws {
    let toy = try #require(OneTrapToy.all.first { $0.name == "another entry takes over" })
    let (_, entry, whole) = try analyse(toy)
    let offset = try #require(try whole.get().first).offset
    guard case .failure(let refusal) = try analyse(toy, isOwn: { $0 < entry + offset }).sites else {
      Issue.record("sites in code of another function")
      return
    }
    #expect(refusal.description.contains("passes no usable instruction"))
  }

  @Test("only calls that return the block and get no old one", arguments: AllocatorCall.allCases)
  func calls(call: AllocatorCall) throws {
    var toy = OneTrapToy.all[0]
    toy.call = call
    let isPossible = [.malloc, .calloc, .alignedAlloc].contains(call)
    switch try analyse(toy).sites {
    case .success: #expect(isPossible)
    case .failure(let refusal): #expect(isPossible == !refusal.description.contains("at the entry"))
    }
  }

  @Test("functions of other files that never return")
  func imported() throws {
    let toy = try ToyProgram(
      """
      #include <stdlib.h>
      #include <unistd.h>
      __attribute__((noipa)) void *toy(unsigned long size) {
        if (!size) { char big[64]; getcwd(big, 64); abort(); }
        return (void *)(size ^ getpid());
      }
      int main(void) { return toy(1) == 0; }
      """, flags: ["-O1", "-fno-stack-protector"])
    let elf = try toy.elf
    let entry = try #require(try elf.symbols(named: ["toy"])["toy"])
    let code = { (address: UInt64) in (try? elf.code(at: address, count: 15)) ?? [] }
    let dead = DeadCalls(elf)
    let whole = try FlowGraph(entry: entry.address, code: code) { _ in false }
    let cut = try FlowGraph(entry: entry.address, code: code, neverReturns: dead.contains) { _ in false }
    let calls = cut.nodes.filter { $0.instruction.kind == .call }
    #expect(calls.count >= 3 && calls.filter { $0.exit == .dies }.count == 1)
    #expect(whole.nodes.allSatisfy { $0.instruction.kind != .call || $0.exit == .none })
    let names = elf.importedNames(atStubs: calls.compactMap(\.instruction.branchTarget))
    for call in calls {
      let target = try #require(call.instruction.branchTarget)
      #expect((names[target] == "abort") == (call.exit == .dies))
    }
  }

  @Test("the checker sees what is wrong", arguments: 0..<6)
  func checker(mistake: Int) throws {
    let (program, entry, found) = try analyse(OneTrapToy.all[0])
    var sites = try found.get()
    switch mistake {
    case 0: sites[0].size = .register(1)
    case 1: sites[0].result = .register(3)
    case 2: sites[0].frameBytes += 8
    case 3: sites[0].callerFramePointer = .stack(0)
    case 4: sites[0].edge?.isTaken = true
    default:
      var again = sites[0]
      again.edge = nil
      sites.append(again)
    }
    let checker = OneTrapChecker(entry: entry, call: .malloc, code: program.code, sites: sites)
    #expect(throws: OneTrapChecker.Wrong.self) { try checker.run() }
  }
}

extension OneTrapSite {
  /// "record je taken: result rax, size rsp+8, frame 16, rbp in rbp"
  var summary: String {
    var text = "\(role) \(instruction.prefix { $0 != " " })"
    if let edge { text += edge.isTaken ? " taken" : " not taken" }
    text += ":"
    if let result { text += " result \(Self.text(result))," }
    if let size { text += " size \(Self.text(size))," }
    return text + " frame \(frameBytes), rbp in \(Self.text(callerFramePointer))"
  }

  private static func text(_ place: Place) -> String {
    switch place {
    case .register(let number): RegisterSet.partNames[number][0]
    case .stack(let bytes): "rsp+\(bytes)"
    }
  }
}

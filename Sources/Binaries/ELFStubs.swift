extension ELFFile {
  /// The function that a tail-calling function hands over to: where the code at the address is nothing but a
  /// direct jump, perhaps behind endbr64.
  func jumpTarget(at address: UInt64) -> UInt64? {
    guard let code = try? code(at: address, count: 16) else { return nil }
    let endbr: UInt64 = code.starts(with: Self.endbr64) ? 4 : 0
    let rest = code.dropFirst(Int(endbr))
    switch rest.first {
    case 0xe9 where rest.count >= 5: return Instruction.directTarget(rest.prefix(5), at: address &+ endbr)
    case 0xeb where rest.count >= 2: return Instruction.directTarget(rest.prefix(2), at: address &+ endbr)
    default: return nil
    }
  }

  /// The names of the functions that linkage-table stubs lead to, by the stubs' addresses. A stub jumps through
  /// a slot of the global offset table; the relocation that fills the slot says for which symbol (System V AMD64
  /// ABI, 5.2). Addresses that are no stubs are left out.
  func importedNames(atStubs stubs: [UInt64]) -> [UInt64: String] {
    var stubsBySlot: [UInt64: [UInt64]] = [:]
    for stub in stubs {
      if let slot = slot(ofStub: stub) { stubsBySlot[slot, default: []].append(stub) }
    }
    guard !stubsBySlot.isEmpty else { return [:] }
    var result: [UInt64: String] = [:]
    forEachRelocation { slot, symbol in
      guard let stubs = stubsBySlot[slot], let name = dynamicSymbolName(symbol) else { return }
      for stub in stubs { result[stub] = name }
    }
    return result
  }

  /// Addresses of the slots that the dynamic linker fills with the addresses of these functions, through which the
  /// file calls them or hands them on.
  public func importSlots(of names: Set<String>) -> [String: [UInt64]] {
    // Of each symbol the name, or nothing if it is not wanted: a file has many more slots than symbols.
    var wanted: [UInt64: String?] = [:]
    var slots: [String: [UInt64]] = [:]
    forEachRelocation { slot, symbol in
      let name = wanted[symbol] ?? dynamicSymbolName(symbol).flatMap { names.contains($0) ? $0 : nil }
      wanted.updateValue(name, forKey: symbol)
      if let name { slots[name, default: []].append(slot) }
    }
    return slots
  }

  /// The relocations that name a symbol: where, and the symbol's index.
  private func forEachRelocation(_ body: (_ slot: UInt64, _ symbol: UInt64) -> Void) {
    let tables = [
      (dynamic[DynamicTable.Tag.jumpRelocations], dynamic[DynamicTable.Tag.jumpRelocationBytes]),
      (dynamic[DynamicTable.Tag.relocations], dynamic[DynamicTable.Tag.relocationBytes]),
    ]
    for (address, size) in tables {
      guard let address, let size, size <= 64 << 20, let at = fileOffset(ofAddress: address),
        let table = try? bytes.read(at: at, count: Int(size))
      else { continue }
      // Elf64_Rela: offset, info (the symbol in its upper half), addend.
      for entry in stride(from: 0, to: table.count - 23, by: 24) {
        guard let slot = table.integer(UInt64.self, at: entry),
          let info = table.integer(UInt64.self, at: entry + 8), info >> 32 != 0
        else { continue }
        body(slot, info >> 32)
      }
    }
  }

  private static let endbr64: [UInt8] = [0xf3, 0x0f, 0x1e, 0xfa]

  /// `jmp [rip + displacement]`, perhaps behind endbr64, perhaps with a bnd prefix.
  func slot(ofStub stub: UInt64) -> UInt64? {
    guard let code = try? code(at: stub, count: 16) else { return nil }
    var at = code.starts(with: Self.endbr64) ? 4 : 0
    if at < code.count, code[at] == 0xf2 { at += 1 }
    guard code.dropFirst(at).starts(with: [0xff, 0x25]),
      let displacement = code.integer(Int32.self, at: at + 2)
    else { return nil }
    return stub &+ UInt64(at + 6) &+ UInt64(bitPattern: Int64(displacement))
  }

  /// Where a stub leads: the function's name, and its address if the file defines it itself. Nil if there is no
  /// stub at the address. `slots` are those of `symbolsBySlot`.
  func linked(
    atStub stub: UInt64, _ slots: [UInt64: UInt64]
  ) -> (name: String, address: UInt64?)? {
    guard let slot = slot(ofStub: stub), let index = slots[slot], let name = dynamicSymbolName(index),
      let symbols = dynamic[DynamicTable.Tag.symbols].flatMap(fileOffset(ofAddress:)),
      let entry = try? bytes.read(at: symbols &+ index * UInt64(SymbolSearch.entrySize), count: 16),
      let section = entry.integer(UInt16.self, at: 6), let address = entry.integer(UInt64.self, at: 8)
    else { return nil }
    return (name, section == 0 || address == 0 ? nil : address)
  }

  /// The index of the dynamic symbol that each slot is filled with.
  func symbolsBySlot() -> [UInt64: UInt64] {
    var result: [UInt64: UInt64] = [:]
    forEachRelocation { slot, symbol in result[slot] = symbol }
    return result
  }

  private func dynamicSymbolName(_ index: UInt64) -> String? {
    guard index > 0, let symbols = dynamic[DynamicTable.Tag.symbols].flatMap(fileOffset(ofAddress:)),
      let entry = try? bytes.read(at: symbols &+ index * UInt64(SymbolSearch.entrySize), count: 4),
      let name = entry.integer(UInt32.self, at: 0)
    else { return nil }
    return dynamicString(at: UInt64(name))
  }
}

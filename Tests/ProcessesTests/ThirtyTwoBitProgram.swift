/// The smallest i386 program: one segment, and code that calls pause() for ever.
let thirtyTwoBitProgram: [UInt8] = {
  func little(_ value: UInt32, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
  }
  let base: UInt32 = 0x0804_8000
  let headers: UInt32 = 52 + 32
  // mov $29, %eax (pause); int $0x80; jmp back
  let code: [UInt8] = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]
  let size = headers + UInt32(code.count)
  var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
  // ET_EXEC, EM_386, version, entry, program headers at 52, no sections, flags
  file +=
    little(2, 2) + little(3, 2) + little(1, 4) + little(base + headers, 4) + little(52, 4) + little(0, 4)
  file += little(0, 4)
  // Sizes: this header, a program header, how many; no sections.
  file += little(52, 2) + little(32, 2) + little(1, 2) + little(0, 2) + little(0, 2) + little(0, 2)
  // PT_LOAD of the whole file, readable and executable.
  file += little(1, 4) + little(0, 4) + little(base, 4) + little(base, 4) + little(size, 4) + little(size, 4)
  file += little(5, 4) + little(0x1000, 4)
  return file + code
}()

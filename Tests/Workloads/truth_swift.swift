// truth_swift OBJECTS — class instances and raw buffers of Swift, counted by itself; protocol and output as in
// truth.c.
import Glibc

final class Node {
  var number: Int
  var other: Int = 0
  init(_ number: Int) { self.number = number }
}

@inline(never) func site_objects(_ number: Int) -> Node { Node(number) }
@inline(never) func site_buffer(_ size: Int) -> UnsafeMutableRawPointer {
  let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
  // Not the last thing that it does: a tail call leaves no frame.
  buffer.storeBytes(of: 1, as: UInt8.self)
  return buffer
}

func say(_ text: StaticString) { _ = write(1, text.utf8Start, text.utf8CodeUnitCount) }
func waitForLine() {
  var byte: UInt8 = 0
  while read(0, &byte, 1) == 1, byte != 10 {}
}

let count = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 1000 : 1000
var nodes = [Node?](repeating: nil, count: count)
var buffers = [UnsafeMutableRawPointer?](repeating: nil, count: count)
// What the runtime makes at the first use of a class is no truth of ours.
nodes[0] = site_objects(0)
nodes[0] = nil
say("READY\n")
waitForLine()
var bytes = 0
for index in 0..<count {
  nodes[index] = site_objects(index)
  buffers[index] = site_buffer(index + 1)
  bytes += index + 1
}
// Every third goes again.
var gone = 0
var goneBytes = 0
for index in stride(from: 0, to: count, by: 3) {
  nodes[index] = nil
  buffers[index]?.deallocate()
  gone += 1
  goneBytes += index + 1
}
say("DONE\n")
// The header of an object is two words.
let size = 16 + 2 * MemoryLayout<Int>.size
let left = count - gone
print("SITE site_objects \(count) \(gone) \(count * size) \(gone * size) \(left) \(left * size)")
print("SITE site_buffer \(count) \(gone) \(bytes) \(goneBytes) \(left) \(bytes - goneBytes)")
print("TOTAL \(2 * count) \(2 * gone) 0 0 0 0")
fflush(stdout)
waitForLine()

import Foundation
import Testing

/// A real just-in-time compiler: Java's, told to keep frame pointers.
extension StackCheckTests {
  static let hasJava = FileManager.default.isExecutableFile(atPath: "/usr/bin/javac")

  /// Virtual calls, lambdas and streams above native allocations; deep enough that all of it gets compiled.
  private static let source = """
    import java.util.Random;
    import java.util.stream.IntStream;
    import sun.misc.Unsafe;

    class Stacks {
      static Unsafe unsafe;
      interface Shape { long area(int depth, Random random); }
      static class Square implements Shape {
        public long area(int depth, Random random) { return climb(depth - 1, random) + 1; }
      }
      static class Circle implements Shape {
        public long area(int depth, Random random) { return take(random) ^ climb(depth - 1, random); }
      }
      static class Line implements Shape {
        public long area(int depth, Random random) {
          return IntStream.range(0, 3).mapToLong(i -> climb(depth - 2, random)).sum();
        }
      }
      static Shape[] shapes = { new Square(), new Circle(), new Line() };
      static long take(Random random) {
        long block = unsafe.allocateMemory(64 + random.nextInt(512));
        unsafe.putLong(block, 1);
        unsafe.freeMemory(block);
        return block;
      }
      static long climb(int depth, Random random) {
        return depth <= 0 ? take(random) : shapes[random.nextInt(3)].area(depth, random);
      }
      public static void main(String[] words) throws Exception {
        var field = Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        unsafe = (Unsafe) field.get(null);
        Random random = new Random(1);
        long sum = 0, calls = 0;
        while (true) {
          sum += climb(1 + random.nextInt(12), random);
          if (++calls == 100000) { System.out.println("READY"); System.out.flush(); }
        }
      }
    }
    """

  @Test("Java with frame pointers in its generated code", .enabled(if: hasJava, "no JDK here"))
  func java() throws {
    let file = FileManager.default.temporaryDirectory.path + "/Drip\(UUID().uuidString.prefix(8)).java"
    try Self.source.write(toFile: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: file) }
    let java = try Child("/usr/bin/java", ["-XX:+PreserveFramePointer", file])
    try #require(java.waitForLine { $0 == "READY" } != nil)
    // Calls through the JVM's tables go to code without names in any file: what counts is the way to the root.
    try check(java.pid, "java", ["--max-sites", "262144"])
  }
}

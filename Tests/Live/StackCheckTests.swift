import Foundation
import Testing

/// The walk in the kernel against libdwfl, on the same registers and stack bytes of live programs. Stacks that libdwfl
/// has all it needs for must be the same, and stacks within the depth limit must reach the root.
@Suite("stacks against libdwfl", .enabled(if: canRunLive), .serialized)
struct StackCheckTests {
  /// For a longer run by hand.
  private static let seconds = ProcessInfo.processInfo.environment["DRIP_CHECK_SECONDS"] ?? "2"
  private static let fewest: UInt64 = 1000

  /// `comparable`: of a thousand stacks so many at least.
  func check(
    _ pid: Int32, _ name: String, _ arguments: [String] = [], comparable least: UInt64 = 999
  ) throws {
    let result = try run(
      DripBinary.path,
      ["dump", "-p", "\(pid)", "--duration", Self.seconds + "s", "--format", "json", "-n", "1"]
        + ["--check-stacks", "1"] + arguments)
    try #require(result.status == 0, "\(result.errors)")
    let dump = try DumpJSON.parse(result.output)
    let checks = try #require(dump.stack_checks)
    let comparable = checks.agreed + checks.disagreed
    let within = checks.checked - checks.truncated
    print(
      "\(name): \(checks.checked) checked, \(checks.agreed) agree, \(checks.disagreed) differ, "
        + "\(checks.not_comparable) not comparable \(checks.not_comparable_reasons.filter { $0.value > 0 }), "
        + "\(checks.dropped) dropped; "
        + "\(checks.complete) of \(within) within the depth limit complete")
    #expect(checks.checked >= Self.fewest, "\(name): enough to judge")
    #expect(checks.disagreed * 1000 <= comparable, "\(name): \(checks)")
    #expect((within - checks.complete) * 1000 <= within, "\(name): \(checks)")
    #expect(comparable * 1000 >= checks.checked * least, "\(name): \(checks)")
    #expect(dump.losses["stack_mismatches"] == checks.disagreed)
    #expect(dump.losses["unchecked_stacks"] == checks.dropped)
    #expect(dump.losses["total"] == 0, "\(name): \(dump.losses)")
  }

  /// A program that prints READY and then works for ever.
  private func script(_ interpreter: String, _ option: String, _ text: String) throws -> Child {
    let child = try Child(interpreter, [option, text])
    try #require(child.line() == "READY")
    return child
  }

  @Test("python3: recursion, generators, exceptions, sorting")
  func python() throws {
    let python = try script(
      "/usr/bin/python3", "-c",
      """
      import json, re
      print('READY', flush=True)
      def deep(n):
          return [n] if n == 0 else deep(n - 1) + [str(n) * 100]
      def make(n):
          for i in range(n): yield bytes(600 + i)
      kept = []
      while True:
          kept.append(bytearray(1000 + len(kept) % 7000))
          junk = list(make(50)) + deep(12)
          try: int('x' * 600)
          except ValueError as error: junk.append(str(error))
          json.loads(json.dumps({str(i): 'y' * 600 for i in range(20)}))
          junk.sort(key=lambda x: repr(x) * 2)
          re.sub('y+', lambda m: 'z' * 700, 'xy' * 400)
          if len(kept) > 20000: kept = []
      """)
    try check(python.pid, "python3")
  }

  @Test("perl: closures, regular expressions, sort, die and eval")
  func perl() throws {
    let perl = try script(
      "/usr/bin/perl", "-e",
      #"""
      $| = 1; print "READY\n";
      sub deep { my ($n) = @_; return $n == 0 ? ["x" x 50] : [@{deep($n - 1)}, "y" x $n] }
      while (1) {
        my %h = map { $_ => "v" x ($_ % 300) } 1..50;
        my @s = sort { ($h{$a} . "a") cmp ($h{$b} . "b") } keys %h;
        my $t = join ",", @s; $t =~ s/(\d+)/<$1>/g; deep(20);
        eval { die { text => "z" x 100 } }; my $e = $@;
      }
      """#)
    try check(perl.pid, "perl")
  }

  @Test("redis-server")
  func redis() throws {
    let redis = try Redis()
    let load = try redis.benchmark(seconds: 600)
    defer { load.stop() }
    try check(redis.pid, "redis-server")
  }

  @Test("an nginx worker")
  func nginx() throws {
    let nginx = try Nginx()
    let load = try nginx.load()
    defer { load.stop() }
    try check(nginx.worker, "nginx")
  }

  @Test("a PostgreSQL backend")
  func postgres() throws {
    let postgres = try Postgres()
    let session = try postgres.session()
    try check(session.backend, "postgres")
    session.client.stop()
  }

  /// Frames of 40 KB do not fit into the copy, and signals may come on a stack of their own.
  @Test("C++ with stacks of every kind", arguments: ["stacks", "stacks_static_pie"])
  func stacks(_ name: String) throws {
    let child = try Child(DripBinary.workload(name), ["7"])
    try #require(child.line() == "READY")
    try check(child.pid, name, ["--max-sites", "262144"], comparable: 850)
    child.send("")
    #expect(child.line()?.hasPrefix("DONE") == true)
    #expect(child.wait() == 0)
  }

  /// The whole chains are in GeneratedCodeTests; libdwfl follows frame pointers, too, where no file has rules.
  @Test("generated code between C without frame pointers")
  func generatedCode() throws {
    let child = try Child(DripBinary.workload("jit_stacks"), ["0"])
    try #require(child.line() == "READY")
    child.send("GO")
    try check(child.pid, "jit_stacks")
  }

  @Test("entry and return of each call, without sites inside of it")
  func twoTraps() throws {
    let child = try Child(DripBinary.workload("stacks"), ["8"])
    try #require(child.line() == "READY")
    try check(child.pid, "stacks, two traps", ["--max-sites", "262144", "--no-one-trap"], comparable: 850)
  }

  @Test("one in a million: next to none, and nothing is dropped")
  func rare() throws {
    let child = try Child(DripBinary.workload("stacks"), ["9"])
    try #require(child.line() == "READY")
    let result = try DripBinary.run(
      "dump", "-p", "\(child.pid)", "--duration", "1s", "--format", "json", "-n", "1", "--check-stacks",
      "1000000")
    let checks = try #require(try DumpJSON.parse(result.output).stack_checks)
    #expect(checks.checked < 100)
    #expect(checks.dropped == 0)
    let off = try DripBinary.run(
      "dump", "-p", "\(child.pid)", "--duration", "300ms", "--format", "json", "-n", "1")
    #expect(try DumpJSON.parse(off.output).stack_checks == nil)
  }

  @Test("without unwind tables the check finds what is wrong")
  func findsErrors() throws {
    let child = try Child(DripBinary.workload("stacks"), ["10"])
    try #require(child.line() == "READY")
    let result = try DripBinary.run(
      "dump", "-p", "\(child.pid)", "--duration", "1s", "--format", "json", "-n", "1", "--check-stacks", "1",
      "--no-unwind-tables")
    let checks = try #require(try DumpJSON.parse(result.output).stack_checks)
    #expect(checks.disagreed > checks.agreed, "\(checks)")
  }

  @Test("the doctor tells the share")
  func doctor() throws {
    let child = try Child(DripBinary.workload("stacks"), ["11"])
    try #require(child.line() == "READY")
    let text = try DripBinary.run("doctor", "-p", "\(child.pid)").output
    let line = text.split(separator: "\n").first { $0.contains("stack check: ") }
    #expect(line?.contains("stacks are the same by libdwfl (100.00 %)") == true, "\(text)")
    #expect(line?.contains("100.00 % reach the root") == true, "\(text)")
    #expect(text.contains("trial: malloc: counted by the sites inside"), "\(text)")
    #expect(!text.contains("0xffff"), "offsets before a function's first byte are negative")
  }
}

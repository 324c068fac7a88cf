/// The functions of other files that never return to their caller, as a file calls them: through a stub of its
/// linkage table.
public struct DeadCalls: Sendable {
  private let elf: ELFFile
  private let slots: Set<UInt64>

  /// C11 7.22.4 and 7.13.2.1, POSIX `_exit` and `pthread_exit`, glibc's and musl's checks, the C++ ABI's throws
  /// (Itanium C++ ABI 2.4) and those of libstdc++.
  private static let names: Set<String> = [
    "abort", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit", "longjmp", "_longjmp", "siglongjmp",
    "__longjmp_chk", "__assert_fail", "__assert", "__stack_chk_fail", "__fortify_fail", "__chk_fail",
    "__cxa_throw", "__cxa_rethrow", "__cxa_bad_cast", "__cxa_bad_typeid", "__cxa_throw_bad_array_new_length",
    "__cxa_call_terminate", "_Unwind_Resume", "_ZSt9terminatev", "_ZSt17__throw_bad_allocv",
    "_ZSt20__throw_length_errorPKc", "_ZSt19__throw_logic_errorPKc", "_ZSt20__throw_system_errori",
    "_ZSt20__throw_out_of_rangePKc", "_ZSt28__throw_bad_array_new_lengthv",
  ]

  /// Reads the file's relocations once.
  public init(_ elf: ELFFile) {
    self.elf = elf
    slots = Set(elf.importSlots(of: Self.names).values.joined())
  }

  /// Whether a stub at the address leads to one of them.
  public func contains(_ address: UInt64) -> Bool {
    !slots.isEmpty && elf.slot(ofStub: address).map(slots.contains) == true
  }
}
